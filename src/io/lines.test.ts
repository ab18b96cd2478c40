import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { Lines } from './lines.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'weft-lines-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function linesTo(path: string) {
  const counts = { written: 0, dropped: 0 }
  const told: (string | undefined)[] = []
  const lines = new Lines({
    path,
    count: (outcome, more) => {
      counts[outcome] += more
    },
    tell: wrong => void told.push(wrong),
  })
  return { lines, counts, told }
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise(resolve => setTimeout(resolve, 5))
}

test('all lines of a moment are written, in their order, whole', async () => {
  const path = join(folder, 'access.log')
  const { lines, counts } = linesTo(path)
  const sent = Array.from({ length: 3000 }, (_, at) => `${at} ${'ä'.repeat(40)}`)
  for (const line of sent) lines.write(line)
  await lines.close(10_000)
  assert.deepEqual(readFileSync(path, 'utf8').trimEnd().split('\n'), sent)
  assert.deepEqual(counts, { written: 3000, dropped: 0 })
})

test('a file that was moved away is opened anew, and what was moved keeps what it has', async () => {
  const path = join(folder, 'access.log')
  const { lines, counts } = linesTo(path)
  lines.write('before')
  await until(() => counts.written === 1)
  renameSync(path, `${path}.1`)
  for (let count = 2; !readIf(path).includes('after'); count++) {
    lines.write('after')
    await until(() => counts.written === count)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  await lines.close(10_000)
  assert.match(readFileSync(`${path}.1`, 'utf8'), /^before\n/)
  assert.match(readFileSync(path, 'utf8'), /^after\n/)
})

test('what cannot be written is dropped and counted, and said once for each time it is tried', async () => {
  const path = join(folder, 'none', 'access.log')
  const { lines, counts, told } = linesTo(path)
  lines.write('one')
  await until(() => counts.dropped === 1)
  lines.write('two')
  await until(() => counts.dropped === 2)
  await lines.close(10_000)
  assert.deepEqual(told, [`${path}: its folder does not exist; make it, or name another`])
})

test('no more than a bound waits: the rest is dropped at once', async () => {
  const path = join(folder, 'access.log')
  const { lines, counts } = linesTo(path)
  const line = 'x'.repeat(1024 * 1024)
  for (let at = 0; at < 6; at++) lines.write(line)
  assert.equal(counts.dropped, 3)
  await lines.close(10_000)
  assert.deepEqual(counts, { written: 3, dropped: 3 })
})

test('a symbolic link is not followed, and a socket is not written to', async () => {
  const link = join(folder, 'link.log')
  symlinkSync(join(folder, 'elsewhere'), link)
  const linked = linesTo(link)
  linked.lines.write('one')
  await until(() => linked.counts.dropped === 1)
  assert.match(linked.told[0] ?? '', /symbolic link/)
  const socket = join(folder, 'socket.log')
  await using server = createServer()
  await new Promise<void>(resolve => server.listen(socket, resolve))
  const piped = linesTo(socket)
  piped.lines.write('one')
  await until(() => piped.counts.dropped === 1)
  assert.match(piped.told[0] ?? '', /no regular file/)
  await Promise.all([linked.lines.close(1000), piped.lines.close(1000)])
})

function readIf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
