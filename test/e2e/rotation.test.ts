/** Certificates that end every few seconds, under load and with connections that never end. `FOR=120 RATE=1000` makes it longer and heavier. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { canCapture } from '../../src/io/namespace.ts'
import { Load, startServer, tell } from '../harness/load.ts'
import { Mesh } from '../harness/mesh.ts'

const verdict = await canCapture()
const seconds = Number(process.env['FOR'] ?? 12)
const rate = Number(process.env['RATE'] ?? 400)

test(`no request of ${rate} a second fails and no long-lived connection is cut while certificates are renewed, for ${seconds} s`, {
  skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`,
}, async context => {
  await using mesh = await Mesh.start({ control: ['--leaf-life', '4s'] })
  startServer(mesh, 'server', { instance: 'server', tcp: true })
  await mesh.healthy('server')
  await using load = new Load(mesh, { to: 'http://server:8080', rate, ticks: 2, tcp: 'tcp://server:7000' })
  await load.answers(rate)
  const serials = new Set<string>()
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    for (const { admin, service } of await mesh.client.proxies()) {
      const text = await (await fetch(`${admin}/metrics`)).text()
      serials.add(`${service} ${/certificate_expiry_seconds\{serial="([0-9a-f]+)"/.exec(text)?.[1]}`)
    }
    await pause(500)
  }
  const report = await load.stop()
  context.diagnostic(`${tell(report)}; ${serials.size} certificates`)
  assert.deepEqual(report.failed, {})
  assert.deepEqual(report.cut, [])
  assert.ok(report.echoes > 0 && report.ticks > 0)
  assert.ok(report.ok > (rate * seconds) / 2, `only ${report.ok}`)
  // Two proxies, each renewing at two thirds of four seconds.
  assert.ok(serials.size >= seconds / 4, `only ${serials.size} certificates were seen`)
})
