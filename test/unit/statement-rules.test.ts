import { describe, expect, test } from 'vitest'
import { judgeStatement } from '../support/statements/judge.ts'
import type { TableKey, TableKeys } from '../support/statements/table-keys.ts'

const table = (kind: TableKey['kind'], column: string | null, columns: string): TableKey => ({
  kind,
  column,
  columns: new Set(columns.split(' ')),
})

const keys: TableKeys = new Map([
  ['users', table('user', 'id', 'id login')],
  ['notes', table('user', 'user_id', 'user_id id text seen_at')],
  ['tags', table('user', 'user_id', 'user_id id note_id name')],
  ['logins', table('look-up', 'login', 'login user_id')],
  ['settings', table('local', null, 'name value')],
])

/** Returns what is wrong with a statement of these tables, none of whose shapes is allowed. */
function judge(text: string, acrossUsers: Record<string, string> = {}) {
  return judgeStatement(text, keys, acrossUsers).problems
}

test.each([
  'select id from notes where user_id = $1 and id = $2',
  'select "notes"."id" from "notes" where ("notes"."user_id" = $1 and ("notes"."id" = $2 or "notes"."text" is null))',
  'select id from notes where user_id = any($1)',
  'select id from notes where (user_id, id) in (($1, $2), ($3, $4))',
  'select id from notes where (user_id = $1 and id = $2) or (user_id = $3 and id = $4)',
  'select login from users where id = $1 for update',
  'select 1 from notes n join tags t on t.user_id = n.user_id and t.note_id = n.id where t.user_id = $1',
  'select 1 from notes left join tags using (user_id) where notes.user_id = $1',
  'select 1 from notes where user_id = $1 and exists (select from tags where tags.user_id = notes.user_id and note_id = notes.id)',
  'update tags set name = old.name from (select user_id, id, name from tags where user_id = $1 for update) old where tags.user_id = old.user_id and tags.id = old.id',
  'with gone as (delete from notes where user_id = $1 returning user_id, id) select 1 from tags join gone on gone.user_id = tags.user_id',
  'update notes set seen_at = xconnect_now() from unnest($1::uuid[], $2::uuid[]) as seen (user_id, id) where notes.user_id = seen.user_id and notes.id = seen.id',
  'insert into notes (user_id, id, seen_at) values ($1, $2, now()), ($3, $4, now()) on conflict (user_id, id) do update set text = excluded.text',
  'insert into notes (user_id, id) select user_id, gen_random_uuid() from tags where user_id = $1',
  'insert into logins (login, user_id) values (lower($1), $2) on conflict (login) do update set user_id = excluded.user_id',
  'select user_id from logins where login = $1 for update',
  'select value from settings',
  'select data from pgboss.job where id = $1',
  'begin',
])('accepts %s', (text) => {
  expect(judge(text)).toEqual([])
})

test.each<[string, string]>([
  ['select text from notes where id = $1', 'It names no user, and "select notes by id"'],
  ['select text from notes where user_id <> $1', 'It names no user'],
  ['select text from notes where user_id = $1 or id = $2', 'It names no user'],
  [
    'delete from notes where id in (select id from notes where user_id = $1)',
    'It names no user, and "delete notes by id"',
  ],
  ['update notes set text = $1', 'It names no user, and "update notes" is'],
  [
    'select 1 from notes join tags on tags.note_id = notes.id where notes.user_id = $1',
    'It names no user, and "select tags by',
  ],
  [
    'select 1 from notes where user_id = $1 and exists (select from tags where tags.note_id = notes.id)',
    'It names no user',
  ],
  ['select 1 from notes where user_id = $1 union select 1 from tags', 'It names no user, and "select tags"'],
  ['with all_notes as (select user_id from notes) select 1 from all_notes', 'It names no user, and "select notes"'],
  ['select user_id from logins where user_id = $1', 'It names no user, and "select logins by user_id"'],
  ['insert into notes (id, text) values ($1, $2)', 'It inserts into notes without user_id.'],
  ['insert into notes (user_id, id) values (default, $1)', 'It inserts into notes without user_id.'],
  ['insert into users (id, login) values ($1, $2), (default, $3)', 'It inserts into users without id.'],
  [
    'insert into notes (user_id, id) values ($1, $2) on conflict (id) do nothing',
    'Its ON CONFLICT is without user_id.',
  ],
  [
    'insert into notes (user_id, id) values ($1, $2) on conflict on constraint once do nothing',
    'It names a constraint',
  ],
  [
    'insert into notes (user_id, id) values ($1, $2) on conflict (user_id, id) do update set user_id = $3',
    'It changes user_id',
  ],
  ['update notes set user_id = $1 where user_id = $2', 'It changes user_id'],
  [
    'insert into notes as own (user_id, id) values ($1, $2) on conflict (user_id, id) do update set seen_at = xconnect_now()',
    'xconnect_now() in ON CONFLICT DO UPDATE is not IMMUTABLE.',
  ],
  [
    'insert into notes as own (user_id, id) values ($1, $2) on conflict (user_id, id) do update set text = $3 where own.seen_at < now()',
    'now() in ON CONFLICT DO UPDATE is not IMMUTABLE.',
  ],
  [
    'insert into notes (user_id, id) values ($1, $2) on conflict (user_id, id) do update set seen_at = current_timestamp',
    'current_timestamp() in ON CONFLICT',
  ],
  [
    "insert into notes (user_id, id) values ($1, $2) on conflict (user_id, id) do update set seen_at = excluded.seen_at + interval '1 day'",
    'calculates with times',
  ],
  [
    'insert into notes (user_id, id) values ($1, $2) on conflict (user_id, id) do update set text = (select name from tags where user_id = $1)',
    'has a subquery',
  ],
  ['update notes set id = gen_random_uuid() where user_id = $1', 'gen_random_uuid() is VOLATILE.'],
  ['delete from notes where user_id = $1 and seen_at < clock_timestamp()', 'clock_timestamp() instead of'],
  ['select clock_timestamp() from notes where user_id = $1', 'clock_timestamp()'],
  ['select 1 from notes where user_id = $1 and random() < 0.1', 'random() is VOLATILE.'],
  ['select soundex(text) from notes where user_id = $1', 'soundex() is not in functions.ts.'],
  ['select id from notes where user_id = any($1) for update', 'It locks rows of notes without one user_id.'],
  ['select id from notes where seen_at < $1 for update skip locked', 'It locks rows of notes without one user_id.'],
  ['select user_id from logins where user_id = $1 for share', 'It locks rows of logins without one login.'],
  [
    'select 1 from users join logins on logins.user_id = users.id where users.id = $1 and logins.login = $2',
    'tables of users and logins, which are on different shards',
  ],
  ['select 1 from users where id = $1 and exists (select from settings)', 'tables of users and settings'],
  [
    'select 1 from notes where user_id = $1 and not exists (select from pgboss.job where id = notes.id)',
    'tables of users and pgboss.job',
  ],
])('refuses %s', (text, problem) => {
  expect(judge(text).filter((sentence) => sentence.includes(problem))).toHaveLength(1)
})

describe('a statement over all users', () => {
  const sweep = 'select user_id, id from notes where seen_at < $1 and text is null limit 100'

  test('is named by its verb, tables and conditions', () => {
    expect(judgeStatement(sweep, keys, {}).shapes).toEqual(['select notes by seen_at, text'])
  })

  test('is accepted if its shape is in the list', () => {
    expect(judge(sweep, { 'select notes by seen_at, text': 'A reason.' })).toEqual([])
    expect(
      judge(sweep.replace('text is null', 'text is null and id = $2'), {
        'select notes by seen_at, text': 'A reason.',
      }),
    ).toHaveLength(1)
  })

  test('joins its tables on the user even then', () => {
    const shape = 'select notes, tags by id, note_id, seen_at'
    const text = 'select 1 from notes join tags on notes.id = tags.note_id and'
    expect(judge(`${text} notes.seen_at < $1 limit 100`, { [shape]: 'A reason.' })).toEqual([
      'It joins tables of users, but not on the user.',
    ])
  })
  test('reads with LIMIT, unless its bound is in the list', () => {
    const shape = 'select notes by seen_at, text'
    const text = sweep.replace(' limit 100', '')
    expect(judge(text, { [shape]: 'A reason.' })).toEqual([`It reads rows of all users without LIMIT. (${shape})`])
    expect(judgeStatement(text, keys, { [shape]: 'A reason.' }, { [shape]: 'A bound.' }).problems).toEqual([])
  })

  test.each([
    ['delete from notes where seen_at < $1', 'delete notes by seen_at'],
    ['update notes set text = null where seen_at < $1', 'update notes by seen_at'],
  ])('changes nothing by itself: %s', (text, shape) => {
    expect(judge(text, { [shape]: 'A reason.' })).toEqual([
      `It changes rows of all users at once: find them with LIMIT. (${shape})`,
    ])
    expect(
      judge(`${text} and (user_id, id) in (select user_id, id from notes where seen_at < $1 limit 100)`, {
        'select notes by seen_at': 'A reason.',
      }),
    ).toEqual([])
  })
})
