-- The shared bucket of one key: one state, read, moved on to `now`, and written back. `now` is set by the line before this.
--
-- state: c      tokens to hand out now              t     when c was last moved on; in the future, nothing flows until then
--        n      how often it was written            heard when any limiter last sent a request
--        settle until when limiters that send nothing count as on their local shares
--        limit, burst, rate; config: whose they are        left, ends, reset: what is left by the API of its window
--        paused until when a 429 lets nobody have a token
--        lost_peers how many limiters a state that was lost knew, and that have not come back; 0 after lost_until
--        m      limiters by id: h heard, o tokens out, i and b waiting (interactive, bulk), v served up to here
-- The proof is in limiter.py. c + the tokens out <= burst * (the share of those that are heard), always.
local request = cjson.decode(ARGV[1])
local known, tokens, demand, terms, api = request.known, request.tokens, request.demand, request.terms, request.api
local LEASE, SETTLE = terms.lease, terms.settle
local stored = redis.call('GET', KEYS[1])
local s = stored and cmsgpack.unpack(stored)
local outage = s and math.abs(now - s.heard) > LEASE
local late = now > request.void_after

if late and not outage then
  return {'late', math.floor(now * 1e6)}
end
if not s then
  -- What was granted before is unknown: there is nothing, and nothing flows until the leases of a lost state are void.
  s = {c = 0, t = now + LEASE, n = 0, settle = now + SETTLE, lost_peers = 0, lost_until = 0, m = {}}
elseif late or s.n < known.number then
  -- The clock was set forward, or the state was replaced by an older one: its tokens cannot be trusted.
  s.c, s.t, s.settle = math.min(s.c, 0), now + LEASE, now + SETTLE
elseif outage then
  s.settle = now + SETTLE
end
local lost = s.n < known.number
if s.config == nil or (known.number == 0 and terms.config ~= s.config) then
  -- The limiter that started last knows best what is wanted.
  s.config, s.limit, s.burst, s.rate = terms.config, terms.limit, terms.burst, terms.rate
end
-- The clock may have been set back.
s.t = math.min(s.t, now + LEASE)
s.settle = math.min(s.settle, now + SETTLE)
if s.paused then
  s.paused = math.min(s.paused, now + terms.max_pause)
end
if s.ends and (s.ends <= now or s.ends > now + terms.period) then
  s.left, s.ends = nil, nil
end

local others, silent, out = 0, 0, 0
local me
for id, member in pairs(s.m) do
  member.h = math.min(member.h, now)
  local age = now - member.h
  if age > LEASE then
    member.o, member.i, member.b = 0, 0, 0
  end
  if age > terms.forget then
    s.m[id] = nil
  elseif id == request.id then
    me = member
  elseif age > LEASE then
    silent = silent + 1
  else
    others, out = others + 1, out + member.o
  end
end

if lost then
  s.lost_peers, s.lost_until = math.max(0, known.peers - (known.enrolled and 1 or 0) - others - silent), now + terms.forget
elseif now > s.lost_until or s.lost_until > now + terms.forget then
  s.lost_peers = 0
elseif known.enrolled and not me then
  s.lost_peers = math.max(0, s.lost_peers - 1)
end

local function save()
  s.n, s.heard = math.max(s.n, known.number) + 1, now
  redis.call('SET', KEYS[1], cmsgpack.pack(s), 'PX', terms.keep)
end
if late then
  save()
  return {'late', math.floor(now * 1e6)}
end

-- The share of the limiters that send requests; the rest belongs to those that may be on their local shares.
local function share_of(active, inactive)
  local degraded = math.max(0, terms.expected - active)
  if now >= s.settle then
    degraded = math.min(degraded, inactive + s.lost_peers)
  end
  return (terms.expected - degraded) / terms.expected
end

-- Move on to now, as if the caller had not come yet: until now it counted as inactive, unless it was idle (and not
-- degraded) since its last request.
local live = me and now - me.h <= LEASE
local mine = live and me.o or 0
local before
if live or known.idle > 0 then
  before = share_of(others + 1, silent)
else
  before = share_of(others, silent + (me and 1 or 0))
end
s.c = math.min(s.c + before * s.rate * math.max(0, now - s.t), before * s.burst - out - mine)
s.t = math.max(s.t, now)

-- What the caller brings: the tokens that it still holds, those that it gives back, and what the API told it.
local kept = math.min(tokens.held, mine)
local back = math.min(tokens.returned, mine - kept)
s.c = s.c + back
if request.new_limit then
  s.limit, s.burst, s.rate = terms.limit, terms.burst, terms.rate
end
if request.pause then
  s.paused = math.max(s.paused or now, now + request.pause)
end
if s.left then
  s.left = s.left + back
end
if api then
  local ends = now + math.min(api.resets_in, terms.period)
  if not s.ends or api.reset > s.reset then
    s.left, s.ends, s.reset = api.remaining, ends, api.reset
  elseif api.reset == s.reset then
    s.left = math.min(s.left, api.remaining)
  end
  if api.remaining < 1 and api.reset == s.reset then
    s.left = -1e9 -- until it ends: tokens that come back were lent before, and are none that the API has left
  end
end

local granted, again = 0, 0
if request.leaving then
  s.m[request.id] = nil
else
  me = {h = now, o = kept, i = demand.interactive, b = demand.bulk, v = live and me.v or now}
  s.m[request.id] = me
  local share = share_of(others + 1, silent)
  s.c = math.min(s.c, share * s.burst - out - kept)
  local flow = share * s.rate
  local free = math.floor(math.min(s.c, s.left or s.c) + 1e-9)
  if s.paused and now < s.paused then
    free = 0
  end

  -- Each class divides the flow by the time since each was served; what nobody is due goes to who asks for it.
  local demanding, waiting = 0, {i = 0, b = 0}
  for id, member in pairs(s.m) do
    if now - member.h <= LEASE and member.i + member.b > 0 then
      demanding = demanding + 1
    end
    if id ~= request.id then
      waiting.i, waiting.b = waiting.i + member.i, waiting.b + member.b
    end
  end
  local function grant_for(class, left_over)
    local wanted = me[class]
    if wanted < 1 or left_over < 1 then
      return 0
    end
    local rivals, claimed, foremost = 1, 0, true
    for id, member in pairs(s.m) do
      if id ~= request.id and member[class] > 0 then
        rivals = rivals + 1
        foremost = foremost and me.v <= member.v
      end
    end
    for id, member in pairs(s.m) do
      if id ~= request.id and member[class] > 0 then
        claimed = claimed + math.min(member[class], flow / rivals * math.max(0, now - member.v))
      end
    end
    local due = flow / rivals * math.max(0, now - me.v)
    local size = math.floor(math.min(wanted, left_over, math.max(due, left_over - claimed)) + 1e-9)
    if size < 1 and foremost then
      return 1
    end
    return size
  end
  local quick = grant_for('i', free)
  local slow = grant_for('b', free - quick - waiting.i)
  granted = quick + slow
  me.i, me.b = me.i - quick, me.b - slow
  if me.i + me.b > 0 then
    local pace = math.max(flow / math.max(demanding, 1), 1e-9)
    me.v = math.max(now - LEASE, math.min(now, me.v + granted / pace))
  else
    me.v = now
    local spare = math.floor((free - granted - waiting.i - waiting.b) / 2)
    granted = granted + math.max(0, math.min(demand.spare, spare))
  end
  me.o = kept + granted
  s.c = s.c - granted
  if s.left then
    s.left = s.left - granted
  end
  local batch = math.max(1, math.min(terms.batch, s.burst / (2 * math.max(demanding, 1))))
  again = math.max(0.005, math.min(batch * math.max(demanding, 1) / math.max(flow, 1e-9) + s.t - now, 0.4))
end

save()
local pause = 0
if s.left and s.left < 1 then
  pause = s.ends - now
end
if s.paused then
  pause = math.max(pause, s.paused - now)
end
return {
  'ok', math.floor(now * 1e6), s.n, granted, live and 1 or 0, math.ceil(again * 1e6), math.ceil(pause * 1e6), s.limit,
  others + silent + (request.leaving and 0 or 1) + s.lost_peers
}
