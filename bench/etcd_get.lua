-- POST /v3/kv/range {"key": KEY}: a linearizable read, which is etcd's default.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
local load = dofile(here .. "load.lua")

local base64 = dofile(here .. "base64.lua")
local JSON = { ["Content-Type"] = "application/json" }

local requests = {}

function init(arguments)
  load.init(arguments)
  for i = 1, load.KEYS do
    local body = string.format('{"key":"%s"}', base64(load.key(i - 1)))
    requests[i] = wrk.format("POST", "/v3/kv/range", JSON, body)
  end
end

function request()
  return requests[load.draw()]
end

done = load.done
