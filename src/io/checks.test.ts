import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkMachine, checkNode, checkResolver, judgeClock, judgeSpace } from './checks.ts'

test('a whole check names every need once and gives a remedy for all that is not well', async () => {
  const checks = await checkMachine({ dataFolder: join(tmpdir(), 'not/yet/there'), ports: [{ port: 0, purpose: 'the API' }] })
  assert.equal(new Set(checks.map(({ name }) => name)).size, checks.length)
  assert.deepEqual(
    checks.filter(({ ok, remedy }) => ok !== 'yes' && !remedy),
    [],
  )
  assert.equal(checks.find(({ name }) => name === 'data folder')?.ok, 'yes')
})

test('a port in use is told with the program that has it', async () => {
  const server = net.createServer()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as net.AddressInfo
  const checks = await checkMachine({ dataFolder: tmpdir(), ports: [{ port, purpose: 'the API' }] })
  server.close()
  const check = checks.find(({ name }) => name === `port ${port}`)
  assert.equal(check?.ok, 'warn')
  if (process.platform === 'linux') assert.match(check.says, new RegExp(`process ${process.pid}\\)`))
})

test('an old Node, a clock in the past, a jumping clock and a full disk are told apart from good ones', () => {
  assert.deepEqual(
    [checkNode('20.20.2').ok, checkNode('26.9.0').ok, checkNode('26.10.0').ok, checkNode('27.0.0').ok],
    ['no', 'no', 'yes', 'yes'],
  )
  const now = Date.UTC(2027, 1, 1)
  assert.deepEqual(
    [judgeClock(0, 0).ok, judgeClock(Number.NaN, 0).ok, judgeClock(now, 500).ok, judgeClock(now, -3).ok],
    ['no', 'no', 'warn', 'yes'],
  )
  assert.deepEqual(
    [judgeSpace('d', '/d', 0).ok, judgeSpace('d', '/d', 2 ** 27).ok, judgeSpace('d', '/d', 2 ** 40).ok],
    ['no', 'warn', 'yes'],
  )
})

test('a resolv.conf that is missing, dangling or empty is a warning', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-checks-'))
  const [absent, dangling, empty, good] = ['absent', 'dangling', 'empty', 'good'].map(name => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  symlinkSync('/nowhere/at/all', dangling)
  writeFileSync(empty, '# nothing\n')
  writeFileSync(good, 'nameserver 192.0.2.53\n')
  assert.deepEqual(
    [absent, dangling, empty, good].map(file => checkResolver(file).ok),
    ['warn', 'warn', 'warn', 'yes'],
  )
  assert.match(checkResolver(dangling).says, /leads nowhere/)
  rmSync(folder, { recursive: true })
})
