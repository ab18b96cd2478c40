/** Every story of github.com/http2jp/hpack-test-case: what other encoders wrote is read here, and what is written here is read again. `node test/conformance/hpack.ts [FOLDER]` prints `hpack: HELD/ALL blocks`. */

import { existsSync, globSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { Decoder, Encoder, type Entry, HeaderName } from '../../src/wire/hpack.ts'

type Story = {
  readonly cases: readonly {
    readonly wire?: string
    readonly headers: readonly Readonly<Record<string, string>>[]
    /** The setting that stands from this block on; null, in some collections: none. */
    readonly header_table_size?: number | null
  }[]
}

const cached = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft', 'peers', 'hpack-test-case')

export const storiesFolder = (): string | undefined => (existsSync(join(cached, 'nghttp2')) ? cached : undefined)
export const howToGetStories = `the HPACK stories are not on this machine: git clone --depth 1 https://github.com/http2jp/hpack-test-case ${cached}`

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
  const folder = process.argv[2] ?? storiesFolder()
  if (folder === undefined) {
    console.error(howToGetStories)
    process.exit(2)
  }
  const { all, writers, wrong } = readStories(folder)
  for (const where of wrong) console.log(`wrong: ${where}`)
  console.log(`hpack: ${all - wrong.length}/${all} blocks, of ${writers} collections`)
  process.exitCode = wrong.length === 0 && all > 0 ? 0 : 1
}
