-- Single-alert posts, each with an id of its own, time-ordered as real ones seem to be.
-- Arguments: path, file with the body; %ID% in it becomes the id.
local before, after, path, headers, count

function init(args)
  path = args[1]
  local file = assert(io.open(args[2], "rb"))
  local body = file:read("*a")
  file:close()
  local from, to = body:find("%ID%", 1, true)
  before, after = body:sub(1, from - 1), body:sub(to + 1)
  headers = {["Content-Type"] = "application/json"}
  count = os.time() * 1000000
end

function request()
  count = count + 1
  return wrk.format("POST", path, headers, before .. string.format("0.%x", count) .. after)
end

function done(summary, latency, requests)
  io.write(string.format(
    "\nRESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
