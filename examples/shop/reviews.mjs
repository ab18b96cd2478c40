// What people say; version 2 has stars.
import { serveJson } from './json-server.mjs'

const version = process.env.VERSION ?? 'v1'
serveJson({
  'GET /reviews': () => ({ reviewsBy: version, reviews: [{ text: 'holds well', ...(version === 'v2' ? { stars: 5 } : {}) }] }),
})
