/** Kills a process that writes to the store, 50 times, and looks for every write it acknowledged. Started with `write PATH` this file is that process. */

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore, type Store } from '#control/store'
import type { Resource } from '#resources/kind'

const kind = { group: 'test.dev', kind: 'Thing' }
const rounds = 50
const thing = (name: string, n: number): Resource => ({
  apiVersion: 'test.dev/v1',
  kind: 'Thing',
  metadata: { name },
  spec: { n, filler: 'x'.repeat(n % 3000) },
})
const numberOf = (store: Store, name: string): number | undefined =>
  (store.get({ ...kind, namespace: '', name })?.spec as { n: number } | undefined)?.n

const [, , command, path] = process.argv
if (command === 'write') writeForever(path!)
else
  test(
    'what was acknowledged before kill -9 is there afterwards, and the revision never goes back',
    { timeout: 120_000 },
    killAgainAndAgain,
  )

/** Each write is a pair in one transaction, and a line is printed only when the store has returned. */
function writeForever(path: string): void {
  const store = openStore({ path, keepEvents: 200 })
  for (let n = (numberOf(store, 'left') ?? 0) + 1; ; n++) {
    const type = n === 1 ? 'create' : 'update'
    store.transact([
      { type, resource: thing('left', n) },
      { type, resource: thing('right', n) },
      { type: 'create', resource: thing(`made-${n}`, n) },
    ])
    writeSync(1, `${n} ${store.revision}\n`)
  }
}

async function killAgainAndAgain(t: { after(run: () => void): void; diagnostic(says: string): void }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-crash-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'store.db')
  let written = 0
  let revision = 0
  for (let round = 0; round < rounds; round++) {
    const acknowledged = await writeUntilKilled(path, Math.random() * 60)
    if (acknowledged) [written, revision] = acknowledged
    using store = openStore({ path, keepEvents: 200 })
    assert.ok(store.revision >= revision, `round ${round}: revision ${store.revision} is behind the acknowledged ${revision}`)
    const left = numberOf(store, 'left') ?? 0
    // The write that was under way when the process died may have been kept; more than that one cannot.
    assert.ok(left === written || left === written + 1, `round ${round}: found write ${left}, acknowledged was ${written}`)
    assert.equal(numberOf(store, 'right') ?? 0, left, `round ${round}: half a transaction`)
    for (let n = 1; n <= left; n++) assert.equal(numberOf(store, `made-${n}`), n, `round ${round}: write ${n} is lost`)
    written = left
    revision = store.revision
  }
  t.diagnostic(`${written} writes, ${revision} revisions, ${rounds} kills`)
  assert.ok(written >= rounds, 'the writers hardly wrote: this test proved nothing')
}

/** The last acknowledged write and revision, or undefined when it was killed before the first. Kills `afterMs` after the first sign of life. */
function writeUntilKilled(path: string, afterMs: number): Promise<[number, number] | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [import.meta.filename, 'write', path], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let errors = ''
    child.stdout.on('data', chunk => {
      if (out === '') setTimeout(() => child.kill('SIGKILL'), afterMs)
      out += chunk
    })
    child.stderr.on('data', chunk => (errors += chunk))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (signal !== 'SIGKILL') return reject(new Error(`the writer ended by itself (${code}): ${errors}`))
      const last = out.slice(0, out.lastIndexOf('\n')).split('\n').at(-1)
      resolve(last ? (last.split(' ').map(Number) as [number, number]) : undefined)
    })
  })
}
