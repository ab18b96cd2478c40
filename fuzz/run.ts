/** Runs a fuzz target from the command line: `node fuzz/NAME.ts --for 10s --seed 1`. A failure prints the seed of its case, with which it comes again. */

import { parseArgs } from 'node:util'

/** check throws when the case of that seed breaks a promise. */
export function run(name: string, check: (seed: number) => void): void {
  const { values } = parseArgs({ options: { for: { type: 'string', default: '10s' }, seed: { type: 'string', default: '1' } } })
  const seconds = /^([0-9]+)s$/.exec(values.for)
  const first = Number(values.seed)
  if (!seconds || !Number.isSafeInteger(first)) throw new Error('use --for SECONDSs --seed NUMBER, for example --for 10s --seed 1')
  const until = performance.now() + Number(seconds[1]) * 1_000
  let seed = first
  for (; performance.now() < until; seed++) {
    try {
      check(seed)
    } catch (thrown) {
      console.error(`${name}: the case of seed ${seed} failed`)
      throw thrown
    }
  }
  console.log(`${name}: ${seed - first} cases hold, seeds ${first} to ${seed - 1}`)
}
