/** Which bodies are worth compressing where nobody says otherwise; Envoy's compressors are set to the same. */

import type { Compressible } from './view.ts'

export const usualCompressible: Compressible = {
  minBytes: 512,
  types: [
    'application/javascript',
    'application/json',
    'application/manifest+json',
    'application/problem+json',
    'application/x-ndjson',
    'application/xhtml+xml',
    'application/xml',
    'image/svg+xml',
    'text/css',
    'text/csv',
    'text/event-stream',
    'text/html',
    'text/javascript',
    'text/markdown',
    'text/plain',
    'text/xml',
  ],
}
