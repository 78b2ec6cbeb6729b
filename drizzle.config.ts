import { defineConfig } from 'drizzle-kit'

const config = defineConfig({
  dialect: 'postgresql',
  schema: './src/db/tables.ts',
  out: './drizzle',
  casing: 'snake_case',
})

// biome-ignore lint/style/noDefaultExport: drizzle-kit reads the default export
export default config
