-- Gives up a lease or an intent, if it is the caller's.
--
-- KEYS[1]  the entry
-- ARGV[1]  the token, 16 bytes
-- ARGV[2]  'abandoned': the next one may take over at once
--          'ended': whoever has an old value does not try again for ARGV[3]
--          'emptied': whoever waits loads by itself; the value goes too
--          'withdrawn': as if it had never been
-- ARGV[3]  ms
-- ARGV[4]  how long an entry that only says 'ended' is kept, ms
--
-- Replies  {1, now} if it was the caller's, {0, now} if not; the entry is what it was
-- Full     the entry is deleted instead
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local head = redis.pcall('GETRANGE', key, 0, 79)
if type(head) ~= 'string' then
  if not string.find(head.err, 'WRONGTYPE', 1, true) then return head end
  return {0, now}
end
local kind, flags = string.byte(head, 13, 14)
if #head < 80 or string.sub(head, 1, 3) ~= 'CRE'
  or (kind ~= 1 and kind ~= 2) or string.sub(head, 17, 32) ~= ARGV[1] then
  return {0, now}
end
local has_value = flags % 2 == 1
local kept = string.sub(head, 14, 16)

local written
if ARGV[2] == 'abandoned' then
  written = redis.pcall('SETRANGE', key, 32, string.rep('\0', 8))
elseif ARGV[2] == 'ended' then
  local deadline = struct.pack('<I8', now + ARGV[3])
  written = redis.pcall('SETRANGE', key, 12, '\3' .. kept .. ARGV[1] .. deadline)
  if type(written) ~= 'table' and not has_value then
    redis.call('PEXPIRE', key, ARGV[4])
  end
elseif ARGV[2] == 'emptied' then
  local entry = string.sub(head, 1, 12) .. '\3\0\0\0' .. ARGV[1]
    .. struct.pack('<I8', now) .. string.rep('\0', 40)
  if redis.pcall('SET', key, entry, 'PX', ARGV[4]).ok then return {1, now} end
elseif has_value then
  written = redis.pcall('SETRANGE', key, 12, '\0' .. kept .. string.rep('\0', 24))
end
if type(written) ~= 'number' then
  redis.call('DEL', key)
end
return {1, now}
