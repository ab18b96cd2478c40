/**
 * Ends a file of tests that would not end: loaded before each (`--import`), so that one forgotten server or one wait without an end costs
 * that file, with a word about why, and not the whole run.
 */
import { after } from 'node:test'

const longestFileMs = 10 * 60_000
const leftoversMs = 20_000

function endAfter(ms: number, why: string) {
  setTimeout(() => {
    process.stderr.write(`${process.argv[1]}: ${why}; still open: ${process.getActiveResourcesInfo().join(', ')}\n`)
    process.exit(1)
  }, ms).unref()
}

// Only where tests run, not in the runner itself, which loads this too.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  endAfter(longestFileMs, `the file was not over after ${longestFileMs / 60_000} minutes`)
  after(() => endAfter(leftoversMs, `its tests are over, and ${leftoversMs / 1000} s later the process was not`))
}
