import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseCoding } from './accept-encoding.ts'

const all = ['zstd', 'br', 'gzip'] as const
for (const [accepted, expected, says] of [
  [undefined, undefined, 'who says nothing gets the body as it is'],
  ['', undefined, 'so does who wants no coding'],
  ['gzip', 'gzip', 'the one that is named'],
  ['GZip', 'gzip', 'in any case'],
  ['x-gzip', 'gzip', 'by its old name'],
  ['gzip, br, zstd', 'zstd', 'of equals the one that the proxy has first'],
  ['gzip;q=0.8, br;q=0.9', 'br', 'the one with the greater weight'],
  ['gzip ; q=1.0, br ; q = 0.5', 'gzip', 'with spaces about the weight'],
  ['*', 'zstd', 'any, where all are welcome'],
  ['*;q=0.1, gzip', 'gzip', 'the named before any other'],
  ['zstd;q=0, *', 'br', 'not the one that is ruled out'],
  ['*;q=0', undefined, 'none, where none is welcome'],
  ['identity;q=0, *;q=0', undefined, 'as it is, where nothing at all is'],
  ['identity;q=0, gzip', 'gzip', 'a coding, where the plain body is ruled out'],
  ['identity, gzip;q=0.5', undefined, 'the plain body, where that is liked better'],
  ['identity;q=0.5, gzip;q=0.5', 'gzip', 'a coding, where both are liked equally'],
  ['deflate, compress', undefined, 'none of those that the proxy does not have'],
  ['gzip;q=abc, br', 'br', 'what cannot be read counts for nothing'],
  ['gzip;q=0, gzip', undefined, 'of a name that stands twice the first'],
] as const)
  test(`an answer is coded: ${says} (${String(accepted)})`, () => assert.equal(chooseCoding(accepted, all), expected))
