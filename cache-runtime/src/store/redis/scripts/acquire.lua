-- Asks for the lease of a key.
--
-- KEYS[1]  the entry
-- ARGV[1]  what entries of the caller's type begin with: magic, format, type identity; 12 bytes
-- ARGV[2]  the caller's token, 16 bytes
-- ARGV[3]  how long the lease stands, ms
-- ARGV[4]  how long the key is kept, ms, at least as long
-- ARGV[5]  the stamp of the entry that the caller rejected, 16 bytes, or nothing
-- ARGV[6]  '1': over anything, else '0'
-- ARGV[7]  '1': the caller has an old value, and does not try while loads fail, else '0'
--
-- Replies  {'granted', now}
--          {'value', now, envelope}           a fresh one that the caller has not seen
--          {'busy', now, kind, token, left}   somebody loads (1) or writes (2), or the last load
--                                             failed (3), for `left` ms
-- Full     the error of the write; the entry is what it was
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local head = redis.pcall('GETRANGE', key, 0, 79)
if type(head) ~= 'string' then
  if not string.find(head.err, 'WRONGTYPE', 1, true) then return head end
  head = ''
end

local readable = false
if #head == 80 and string.sub(head, 1, 12) == ARGV[1] then
  local kind, flags = string.byte(head, 13, 14)
  local has_value = flags % 2 == 1
  local created, fresh, stale = struct.unpack('<I8I8I8', head, 49)
  local is_fresh = has_value and (created == 0 or now < created + fresh)
  if ARGV[6] ~= '1' then
    if is_fresh and string.sub(head, 41, 56) ~= ARGV[5] then
      return {'value', now, redis.call('GET', key)}
    end
    local deadline = struct.unpack('<I8', head, 33)
    local stands = kind == 1 or kind == 2 or (kind == 3 and ARGV[7] == '1')
    if stands and deadline > now then
      -- A damaged deadline may be beyond what a reply can say.
      local left = math.min(deadline - now, 9007199254740991)
      return {'busy', now, kind, string.sub(head, 17, 32), left}
    end
  end
  readable = is_fresh or (has_value and now < created + fresh + stale)
end

local deadline = struct.pack('<I8', now + ARGV[3])
if readable then
  local lease = '\1' .. string.sub(head, 14, 16) .. ARGV[2] .. deadline
  local written = redis.pcall('SETRANGE', key, 12, lease)
  if type(written) == 'table' then return written end
  local left = redis.call('PTTL', key)
  if left >= 0 and left < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', key, ARGV[4])
  end
else
  local entry = ARGV[1] .. '\1\0\0\0' .. ARGV[2] .. deadline .. string.rep('\0', 40)
  local written = redis.pcall('SET', key, entry, 'PX', ARGV[4])
  if written.err then return written end
end
return {'granted', now}
