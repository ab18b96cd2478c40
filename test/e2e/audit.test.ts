/** The record of who changed what: by the CLI, by kubectl, by the API; with differences, without secrets, kept over a crash and by a store of an earlier version. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { installed } from '../conformance/peers.ts'
import { Mesh } from '../harness/mesh.ts'

const service = (port: number) => `apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: ${port} }] }
`
const secret = (password: string) => `apiVersion: v1
kind: Secret
metadata: { name: shop }
data: { password: ${Buffer.from(password).toString('base64')} }
`

test('every change is in the record with its difference, over a crash too; what a Secret holds is not', async () => {
  await using mesh = await Mesh.start()
  const apply = async (text: string): Promise<void> => {
    const file = join(mesh.folder, 'change.yaml')
    writeFileSync(file, text)
    const done = await mesh.weft('apply', '-f', file)
    assert.equal(done.code, 0, done.stderr)
  }
  await apply(service(80))
  await apply(service(81))
  await apply(secret('first-password'))
  await apply(secret('second-password'))
  await mesh.client.createToken({ namespace: 'default', serviceAccount: 'web' })
  await mesh.control.stop('SIGKILL')
  await mesh.startControl()
  const removed = await mesh.weft('delete', 'service', 'web')
  assert.equal(removed.code, 0, removed.stderr)

  const { items } = await mesh.client.audit()
  const told = items.map(({ action, kind, name, who, agent }) => `${action} ${kind} ${name} by ${who} with ${agent}`)
  assert.deepEqual(told, [
    'deleted Service web by anonymous with weft',
    'created JoinToken web by anonymous with weft',
    'changed Secret shop by anonymous with weft',
    'created Secret shop by anonymous with weft',
    'changed Service web by anonymous with weft',
    'created Service web by anonymous with weft',
  ])
  assert.ok(items.every(({ address }) => address === '127.0.0.1'))
  assert.ok(items.every((each, at) => at === 0 || each.id < items[at - 1]!.id))
  const changed = items.find(({ action, kind }) => action === 'changed' && kind === 'Service')!
  assert.deepEqual(
    changed.changes.map(({ path }) => path),
    ['spec.ports'],
  )
  const whole = JSON.stringify(items)
  for (const word of ['first-password', 'second-password'])
    for (const form of [word, Buffer.from(word).toString('base64').slice(0, 16)]) assert.ok(!whole.includes(form), form)
  assert.match(whole, /"path":"data\.password","before":"\(hidden\)","after":"\(hidden\)"/)

  const table = await mesh.weft('audit', '--kind', 'Service')
  assert.match(table.stdout, /changed +Service default\/web +spec\.ports/)
  assert.doesNotMatch(table.stdout, /Secret/)
  const diff = await mesh.weft('audit', '--diff', '--kind', 'Service', '--name', 'web', '--limit', '2')
  assert.match(diff.stdout, /- spec\.ports: \[\{.*"port":80\}\]\n +\+ spec\.ports: \[\{.*"port":81\}\]/)
  const lines = (await mesh.weft('audit', '-o', 'jsonl')).stdout.trim().split('\n')
  assert.equal(lines.length, 6)
  const page = await mesh.client.audit({ limit: 4 })
  assert.equal(page.items.length, 4)
  const rest = await mesh.client.audit({ limit: 4, before: page.before! })
  assert.deepEqual([...page.items, ...rest.items], items)
  assert.equal((await mesh.client.audit({ since: new Date(Date.now() + 60_000).toISOString() })).items.length, 0)
  const wrong = await fetch(`${mesh.url}/weft/v1/audit?since=yesterday`)
  assert.equal(wrong.status, 400)
  assert.match(((await wrong.json()) as { message: string }).message, /since=yesterday must be a time/)
})

test('what the mesh itself writes is nobody’s deed, and what is only tried is none', async () => {
  await using mesh = await Mesh.start()
  await using shell = mesh.shell('web', { flags: ['--port', '8080/http'] })
  await shell.says('true')
  const file = join(mesh.folder, 'change.yaml')
  writeFileSync(file, service(80))
  assert.equal((await mesh.weft('apply', '--dry-run', '-f', file)).code, 0)
  const { items } = await mesh.client.audit()
  assert.deepEqual(
    items.map(({ kind, action }) => `${action} ${kind}`),
    ['used JoinToken', 'created JoinToken'], // weft run asked for one, and joined by it
  )
})

const kubectl = installed('kubectl')
test('kubectl is named as what it is', { skip: 'missing' in kubectl ? kubectl.missing : false }, async () => {
  await using mesh = await Mesh.start()
  const run = await mesh.spawn([
    'path' in kubectl ? kubectl.path : '',
    '--server',
    mesh.url,
    'create',
    'configmap',
    'colours',
    '--from-literal=a=b',
  ]).exited
  assert.equal(run.code, 0, run.stderr)
  const { items } = await mesh.client.audit({ kind: 'ConfigMap' })
  assert.equal(items.length, 1)
  assert.match(items[0]!.agent, /^kubectl/)
})

test('a store of before there was a record is carried over; what is in the record cannot be taken out by a slip', async () => {
  await using mesh = await Mesh.start()
  await mesh.client.create(
    { group: '', version: 'v1', plural: 'services', namespaced: true },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'old' },
      spec: { selector: { app: 'old' }, ports: [{ port: 80 }] },
    },
  )
  await mesh.control.stop()
  const path = join(mesh.folder, 'control', 'weft.db')
  const before = new DatabaseSync(path)
  assert.throws(() => before.exec('DELETE FROM deeds'), /deeds are kept/)
  assert.throws(() => before.exec("UPDATE deeds SET who = 'nobody'"), /deeds are kept/)
  before.exec('DROP TABLE deeds; PRAGMA user_version = 1;')
  before.close()
  await mesh.startControl()
  assert.equal((await mesh.client.audit()).items.length, 0)
  const removed = await mesh.weft('delete', 'service', 'old')
  assert.equal(removed.code, 0, removed.stderr)
  assert.deepEqual(
    (await mesh.client.audit()).items.map(({ action }) => action),
    ['deleted'],
  )
  // Of before it was known how somebody proved who they are.
  await mesh.control.stop()
  const between = new DatabaseSync(path)
  between.exec('ALTER TABLE deeds DROP COLUMN how; PRAGMA user_version = 2;')
  between.close()
  await mesh.startControl()
  await mesh.client.createToken({ namespace: 'default', serviceAccount: 'web' })
  assert.deepEqual(
    (await mesh.client.audit()).items.map(({ action, kind }) => [action, kind]),
    [
      ['created', 'JoinToken'],
      ['deleted', 'Service'],
    ],
  )
})
