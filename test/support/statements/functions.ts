/**
 * The volatility of the functions in our statements, as in pg_proc, where a test compares it: that
 * of the most volatile form, of a function with several. `extract` is called by its keyword.
 */
export const functionVolatility: Readonly<Record<string, 'IMMUTABLE' | 'STABLE' | 'VOLATILE'>> = {
  array_agg: 'IMMUTABLE',
  cardinality: 'IMMUTABLE',
  clock_timestamp: 'VOLATILE',
  count: 'IMMUTABLE',
  date_part: 'STABLE',
  extract: 'STABLE',
  gen_random_uuid: 'VOLATILE',
  jsonb_to_recordset: 'STABLE',
  lower: 'IMMUTABLE',
  make_interval: 'IMMUTABLE',
  max: 'IMMUTABLE',
  min: 'IMMUTABLE',
  now: 'STABLE',
  power: 'IMMUTABLE',
  random: 'VOLATILE',
  row_number: 'IMMUTABLE',
  unnest: 'IMMUTABLE',
  xconnect_now: 'STABLE',
}
