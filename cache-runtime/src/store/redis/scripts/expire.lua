-- Ends the freshness of a value and whatever lease there is. What has no stale span, or is no
-- value of this format, is deleted.
--
-- KEYS[1]  the entry
-- ARGV[1]  magic and format, 4 bytes
-- ARGV[2]  the longest time that a key is kept, ms
--
-- Replies  {1, now} if there still is a value, {0, now} if not
-- Full     the entry is deleted
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local head = redis.pcall('GETRANGE', key, 0, 79)
if type(head) == 'string' and #head == 80 and string.sub(head, 1, 4) == ARGV[1]
  and string.byte(head, 14) % 2 == 1 then
  local created, fresh, stale = struct.unpack('<I8I8I8', head, 49)
  local is_fresh = created == 0 or now < created + fresh
  -- A creation of zero would mean that it is fresh for good.
  if stale > 0 and (not is_fresh or fresh < now) then
    local no_lease = '\0' .. string.sub(head, 14, 16) .. string.rep('\0', 24)
    local written
    if is_fresh then
      local stamp = string.sub(head, 41, 48) .. struct.pack('<I8', now - fresh)
      written = redis.pcall('SETRANGE', key, 12, no_lease .. stamp)
    else
      written = redis.pcall('SETRANGE', key, 12, no_lease)
    end
    if type(written) == 'number' then
      local left = redis.call('PTTL', key)
      if is_fresh and (left < 0 or left > stale) then
        redis.call('PEXPIRE', key, math.min(stale, tonumber(ARGV[2])))
      end
      return {1, now}
    end
  end
end
redis.call('DEL', key)
return {0, now}
