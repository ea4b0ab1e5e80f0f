-- name: forget_namings
delete from symbol_history;

-- name: add_namings
insert into symbol_history (instrument, symbol, symbol_from, symbol_to)
select * from unnest(%(instruments)s::text[], %(symbols)s::text[], %(firsts)s::date[], %(lasts)s::date[]);

-- name: list_namings
select instrument, symbol, symbol_from, symbol_to from symbol_history order by instrument, symbol_from nulls first;
