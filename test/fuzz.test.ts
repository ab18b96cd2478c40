/** A fixed number of seeded cases of every fuzz target; `node fuzz/NAME.ts --for 60s --seed N` runs more. */

import { test } from 'node:test'
import { check as capsule } from '../fuzz/capsule.ts'
import { check as dns } from '../fuzz/dns.ts'
import { check as detect } from '../fuzz/detect.ts'
import { check as hpack } from '../fuzz/hpack.ts'
import { check as http1 } from '../fuzz/http1.ts'
import { check as http2 } from '../fuzz/http2.ts'
import { check as proxyProtocol } from '../fuzz/proxy-protocol.ts'

const cases = 3_000

for (const [name, check] of Object.entries({ http1, http2, hpack, detect, dns, 'proxy-protocol': proxyProtocol, capsule }))
  test(`${name}: ${cases} hostile cases keep the promises of the fuzz target`, () => {
    for (let seed = 1; seed <= cases; seed++) {
      try {
        check(seed)
      } catch (thrown) {
        throw new Error(`the case of seed ${seed} failed: node fuzz/${name}.ts --seed ${seed}`, { cause: thrown })
      }
    }
  })
