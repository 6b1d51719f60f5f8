-- Marks an entry with a write intent, whoever works on it.
--
-- KEYS[1]  the entry
-- ARGV[1]  what entries of the caller's type begin with: magic, format, type identity; 12 bytes
-- ARGV[2]  the caller's token, 16 bytes
-- ARGV[3]  how long the intent stands, ms
-- ARGV[4]  how long the key is kept if it holds no value, ms, at least as long
--
-- Replies  {1, now}
-- Full     the error of the write; the entry is what it was
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local head = redis.pcall('GETRANGE', key, 0, 79)
if type(head) ~= 'string' then
  if not string.find(head.err, 'WRONGTYPE', 1, true) then return head end
  head = ''
end

local deadline = struct.pack('<I8', now + ARGV[3])
if #head == 80 and string.sub(head, 1, 3) == 'CRE' and string.byte(head, 14) % 2 == 1 then
  local intent = '\2' .. string.sub(head, 14, 16) .. ARGV[2] .. deadline
  local written = redis.pcall('SETRANGE', key, 12, intent)
  if type(written) == 'table' then return written end
else
  local entry = ARGV[1] .. '\2\0\0\0' .. ARGV[2] .. deadline .. string.rep('\0', 40)
  local written = redis.pcall('SET', key, entry, 'PX', ARGV[4])
  if written.err then return written end
end
return {1, now}
