import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linesOf } from './sparing.ts'

test('who is left out, why and for how long, and which limits are used, is told in one line each', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  assert.deepEqual(
    linesOf(
      {
        leftOut: [
          {
            proxy: 'shop-1.default',
            service: 'web.default',
            backend: 'default/web:80',
            workload: 'web-2.default',
            address: '10.0.0.2:80',
            cause: 'successRate',
            until: '2026-01-01T00:00:30Z',
          },
        ],
        limits: [
          { proxy: 'shop-1.default', service: 'web.default', backend: 'default/web:80', limit: 'requests', most: 5, used: 5, isOpen: true },
        ],
        concurrency: [{ proxy: 'web-1.default', listener: 'inbound/8080', limit: 12, used: 3, roundTripMs: 15.2 }],
      },
      now,
    ),
    [
      'web-2.default (10.0.0.2:80) of default/web:80 is left out by shop-1.default for 30s more: successRate',
      'limits.requests of shop-1.default to default/web:80: 5 of 5, no more is taken',
      'web-1.default gives inbound/8080 12 at once (an answer takes 15 ms without a queue), 3 under way',
    ],
  )
})
