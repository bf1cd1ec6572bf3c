-- POST /entry {"key": KEY, "value": 12 digits and 88 letters}

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
local load = dofile(here .. "load.lua")

local JSON = { ["Content-Type"] = "application/json" }
local LETTERS = 88

local heads = {}
local letters

function init(arguments)
  load.init(arguments)
  letters = load.letters(LETTERS)
  local value = load.STAMP .. letters()
  for i = 1, load.KEYS do
    local body = string.format('{"key":"%s","value":"%s"}', load.key(i - 1), value)
    heads[i] = load.before_stamp(wrk.format("POST", "/entry", JSON, body))
  end
end

function request()
  return heads[load.draw()] .. load.stamp() .. letters() .. '"}'
end

done = load.done
