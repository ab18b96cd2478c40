/** Every story of github.com/http2jp/hpack-test-case: what other encoders wrote is read here, and what is written here is read again. `node test/conformance/hpack.ts [FOLDER]` prints `hpack: HELD/ALL blocks`. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { Decoder, Encoder, type Entry, HeaderName } from '../../src/wire/hpack.ts'
import { checkout, type Found, isKept, type Missing } from './peers.ts'

type Story = {
  readonly cases: readonly {
    readonly wire?: string
    readonly headers: readonly Readonly<Record<string, string>>[]
    /** The setting that stands from this block on; null, in some collections: none. */
    readonly header_table_size?: number | null
  }[]
}

const commit = '8a1406e7d14bfcb6c046021f13cc15cfb162726d'

/** Their folder, fetched when it is not there yet. */
const stories = (): Found | Missing => checkout('hpack-test-case', 'https://github.com/http2jp/hpack-test-case', commit)

/** Their folder when it was fetched before; undefined: it was not. */
export const storiesFolder = (): string | undefined =>
  isKept(`hpack-test-case-${commit.slice(0, 12)}`) ? (stories() as Found).path : undefined

/** Counts of header blocks, and which did not hold. */
export function readStories(folder: string): { readonly all: number; readonly writers: number; readonly wrong: readonly string[] } {
  const wrong: string[] = []
  let all = 0
  const files = globSync('*/story_*.json', { cwd: folder }).sort()
  for (const file of files) {
    const theirs = new Decoder()
    const ours = { encoder: new Encoder(), decoder: new Decoder() }
    for (const [index, one] of (JSON.parse(readFileSync(join(folder, file), 'utf8')) as Story).cases.entries()) {
      all++
      const fields = one.headers.flatMap(header => Object.entries(header)[0]!)
      if (typeof one.header_table_size === 'number') {
        theirs.allow(one.header_table_size)
        ours.encoder.allow(one.header_table_size)
        ours.decoder.allow(one.header_table_size)
      }
      const isRead = one.wire === undefined || same(read(theirs, Buffer.from(one.wire, 'hex')), fields)
      if (!isRead || !same(read(ours.decoder, write(ours.encoder, fields)), fields)) wrong.push(`${file}, block ${index}`)
    }
  }
  return { all, writers: new Set(files.map(file => file.split('/')[0])).size, wrong }
}

const same = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((text, at) => text === right[at])

function read(decoder: Decoder, block: Uint8Array): string[] {
  const fields: string[] = []
  decoder.decode(block, 0, block.length, { field: ({ name, value }: Entry) => void fields.push(name, value) })
  return fields
}

function write(encoder: Encoder, fields: readonly string[]): Uint8Array {
  const into = Buffer.alloc(fields.join('').length + fields.length * 16 + 32)
  let at = encoder.begin(into, 0)
  for (let index = 0; index < fields.length; index += 2) at = encoder.field(into, at, new HeaderName(fields[index]!), fields[index + 1]!)
  return into.subarray(0, at)
}

if (import.meta.main) {
  const found = process.argv[2] === undefined ? stories() : { path: process.argv[2] }
  if ('missing' in found) {
    console.error(found.missing)
    process.exit(2)
  }
  const { all, writers, wrong } = readStories(found.path)
  for (const where of wrong) console.log(`wrong: ${where}`)
  console.log(`hpack: ${all - wrong.length}/${all} blocks, of ${writers} collections`)
  process.exitCode = wrong.length === 0 && all > 0 ? 0 : 1
}
