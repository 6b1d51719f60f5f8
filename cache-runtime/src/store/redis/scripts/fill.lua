-- Stores a loaded value if the caller's lease stands, be it over or not, as long as nobody has
-- taken it over.
--
-- KEYS[1]  the entry
-- ARGV[1]  the token of the lease, 16 bytes
-- ARGV[2]  the envelope up to the time of its creation, 48 bytes
-- ARGV[3]  the envelope after it
-- ARGV[4]  how long the key is kept, ms
--
-- Replies  {1, now} if it was stored, {0, now} if the lease is gone; the entry is what it was
-- Full     the error of the write; the entry is what it was, the lease included
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local head = redis.pcall('GETRANGE', key, 0, 79)
if type(head) ~= 'string' then
  if not string.find(head.err, 'WRONGTYPE', 1, true) then return head end
  return {0, now}
end
if #head < 80 or string.sub(head, 1, 3) ~= 'CRE'
  or string.byte(head, 13) ~= 1 or string.sub(head, 17, 32) ~= ARGV[1] then
  return {0, now}
end

local entry = ARGV[2] .. struct.pack('<I8', now) .. ARGV[3]
local written = redis.pcall('SET', key, entry, 'PX', ARGV[4])
if written.err then return written end
return {1, now}
