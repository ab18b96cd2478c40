/** Unmodified SPIFFE clients in workloads get the identity of their workload, each new certificate of it, and speak mutual TLS by it; nobody else gets it. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, suite, test } from 'node:test'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { canCapture } from '../../src/io/namespace.ts'
import { goProgram } from '../conformance/peers.ts'
import { freePort } from '../harness/machine.ts'
import { Mesh, root } from '../harness/mesh.ts'

const found = goProgram('workload-api', join(root, 'test/e2e/workload-api/go'))
const verdict = await canCapture()
const client = 'path' in found ? found.path : ''
const skip = 'missing' in found ? found.missing : verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`

suite('the SPIFFE Workload API', { skip }, () => {
  let mesh: Mesh
  before(async () => {
    mesh = await Mesh.start({ control: ['--leaf-life', '4s'] })
  })
  after(() => mesh[Symbol.asyncDispose]())

  for (const capture of ['namespace', 'proxy'] as const)
    test(`go-spiffe gets a certificate of the workload, and the next ones, captured by ${capture}`, async () => {
      const done = await mesh.job(`orders-${capture}`, [client, '3'], { flags: ['--capture', capture] })
      assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`)
      const lines = done.stdout.trim().split('\n')
      for (const line of lines) assert.match(line, new RegExp(`^spiffe://weft\\.local/ns/default/sa/orders-${capture} [0-9a-f]+ 2 1$`))
      // Each with a serial number of its own: they were renewed.
      assert.ok(new Set(lines.map(line => line.split(' ')[1])).size >= 2, done.stdout)
    })

  test('two programs that know nothing of the mesh speak mutual TLS by these certificates, past the proxies', async () => {
    const address = `127.0.0.1:${await freePort()}`
    // On the machine's network, where no proxy stands between them.
    await using server = mesh.run('payments', [client, 'serve', address], { flags: ['--capture', 'proxy'] })
    await mesh.until('a listener', () => server.stdout.includes('listening') || server.child.exitCode !== null)
    const called = await mesh.job('web', [client, 'call', address], { flags: ['--capture', 'proxy'] })
    assert.equal(called.stdout, 'heard hello\n', called.stderr)
    await mesh.until('the caller', () => server.stdout.includes('called by'))
    assert.match(server.stdout, /called by spiffe:\/\/weft\.local\/ns\/default\/sa\/web/)
  })

  test('a process that is not of the workload is refused, whoever runs it', async () => {
    await using workload = mesh.run('guarded', ['/bin/sh', '-c', 'echo "$SPIFFE_ENDPOINT_SOCKET"; exec sleep 60'])
    await mesh.until('the address', () => workload.stdout.includes('\n'))
    const address = workload.stdout.trim()
    assert.match(address, /^unix:\/\/\/tmp\/weft-identity-[^/]+\/api\.sock$/)
    // It would ask again for a minute.
    const outside = await promisify(execFile)(client, ['1'], { env: { SPIFFE_ENDPOINT_SOCKET: address }, timeout: 3000 }).then(
      ({ stdout }) => stdout,
      (thrown: { stdout: string; stderr: string }) => thrown.stdout + thrown.stderr,
    )
    assert.match(outside, /PermissionDenied/)
    assert.doesNotMatch(outside, /spiffe:\/\//)
    await mesh.until('a word in the log', () =>
      /does not run in the network namespace.*a program of this machine is refused/.test(workload.stderr),
    )
    const inside = await mesh.job('other', [client, '1'], { env: { SPIFFE_ENDPOINT_SOCKET: address } })
    // A workload's own socket comes first: it cannot be told another one's.
    assert.match(inside.stdout, /sa\/other|^$/)
    assert.doesNotMatch(inside.stdout, /sa\/guarded/)
  })
})
