-- Base64 (RFC 4648) of a short text.

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function digit(number, place)
  local at = math.floor(number / 64 ^ place) % 64 + 1
  return ALPHABET:sub(at, at)
end

return function(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local number = a * 65536 + (b or 0) * 256 + (c or 0)
    out[#out + 1] = digit(number, 3) .. digit(number, 2)
      .. (b and digit(number, 1) or "=") .. (c and digit(number, 0) or "=")
  end
  return table.concat(out)
end
