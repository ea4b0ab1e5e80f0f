-- Tasks that workers hold, and unfinished tasks that changed within two hours. Older ones have no worker: the next sweep,
-- after the next start, sends them again.
select count(*) filter (where state = 'leased' and lease_until > clock_timestamp()),
       count(*) filter (where updated_at > clock_timestamp() - interval '2 hours')
from quantx.tasks where state in ('pending', 'leased', 'landed')
