-- GET /entry/KEY: a quorum read.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
local load = dofile(here .. "load.lua")

local requests = {}

function init(arguments)
  load.init(arguments)
  for i = 1, load.KEYS do
    requests[i] = wrk.format("GET", "/entry/" .. load.key(i - 1))
  end
end

function request()
  return requests[load.draw()]
end

done = load.done
