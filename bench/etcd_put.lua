-- POST /v3/kv/put {"key": KEY, "value": 100 bytes}, both in base64.
--
-- Digits and letters are base64 as they are. 12 digits stand for 9 bytes, 121 letters and
-- "A==" for 91.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or ""
local load = dofile(here .. "load.lua")

local base64 = dofile(here .. "base64.lua")
local JSON = { ["Content-Type"] = "application/json" }
local LETTERS = 121

local heads = {}
local letters

function init(arguments)
  load.init(arguments)
  letters = load.letters(LETTERS)
  local value = load.STAMP .. letters() .. "A=="
  for i = 1, load.KEYS do
    local body = string.format('{"key":"%s","value":"%s"}', base64(load.key(i - 1)), value)
    heads[i] = load.before_stamp(wrk.format("POST", "/v3/kv/put", JSON, body))
  end
end

function request()
  return heads[load.draw()] .. load.stamp() .. letters() .. 'A=="}'
end

done = load.done
