-- What the load scripts share. wrk calls init once per process, and request for each request.
--   arguments   a number for this process (different in every run), the number of keys, and a
--               file with the numbers of those to ask for
--   keys        key00000000 and so on, drawn uniformly
--   values      100 bytes, no two alike: a store must not get away with "unchanged"
--   done        one line of JSON, read by wrk.py; latency_us is every distinct value that
--               wrk has recorded, as [[microseconds, times], ...]

local load = { KEYS = 0 }

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
local WINDOWS = 4096

load.STAMP = string.rep("0", 12)

function load.init(arguments)
  local process = tonumber(arguments[1])
  load.KEYS = tonumber(arguments[2])
  math.randomseed(process)
  load.stamps = process * 1e9
  load.asked = {}
  for line in io.lines(arguments[3]) do
    load.asked[#load.asked + 1] = tonumber(line) + 1
  end
end

function load.key(number)
  return string.format("key%08d", number)
end

-- A number from 1 to KEYS.
function load.draw()
  return load.asked[math.random(#load.asked)]
end

-- 12 digits; never the same twice.
function load.stamp()
  load.stamps = load.stamps + 1
  return string.format("%012d", load.stamps)
end

-- A function that returns `length` letters, at random from a block of random letters.
function load.letters(length)
  local block = {}
  for i = 1, WINDOWS + length do
    local at = math.random(#LETTERS)
    block[i] = LETTERS:sub(at, at)
  end
  block = table.concat(block)
  return function()
    local start = math.random(WINDOWS)
    return block:sub(start, start + length - 1)
  end
end

-- `request` up to where its body has the stamp.
function load.before_stamp(request)
  return request:sub(1, request:find(load.STAMP, 1, true) - 1)
end

local function latencies(latency)
  local counts = {}
  for i = 1, #latency do
    counts[i] = string.format("[%d,%d]", latency(i))
  end
  return "[" .. table.concat(counts, ",") .. "]"
end

function load.done(summary, latency)
  local errors = summary.errors
  io.write("RESULT ", string.format(
    '{"duration_us":%d,"requests":%d,"latency_us":%s,"errors":'
      .. '{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.duration, summary.requests, latencies(latency),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end

return load
