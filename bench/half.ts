/** One Weft proxy on fixed ports, by a hand-made view and without a control plane: `node bench/half.ts out|in|hop|tcp --listen PORT --to PORT [--certs DIR]`. Stays in the foreground. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { silent } from '../src/base/log.ts'
import { dialTcp, listen, type Socket } from '../src/io/net.ts'
import { Core } from '../src/proxy/core.ts'
import { idOf, readMaterial, writeCertificates } from './certificates.ts'
import { roles, service, viewFor, workloadPort } from './view.ts'

const text = { type: 'string' } as const
const { values, positionals } = parseArgs({ allowPositionals: true, options: { listen: text, to: text, certs: text } })
const role = roles.find(known => known === positionals[0])
const port = Number(values.listen)
const to = Number(values.to)
if (role === undefined || !(port > 0) || !(to > 0)) {
  console.error(`usage: node bench/half.ts ${roles.join('|')} --listen PORT --to PORT [--certs DIR]`)
  process.exit(2)
}

const who = role === 'in' ? 'server' : 'client'
const material = values.certs === undefined ? await madeHere() : readMaterial(values.certs, who)
const core = new Core({
  self: () => ({ service: who, namespace: 'app', workload: `${who}-1`, version: '', identity: idOf(who) }),
  dialLocal: () => dialled(to),
  patienceMs: 5000,
  log: silent,
})
core.present(material)
core.swap(viewFor(role, port, to, material.roots))
if (role === 'in') await core.bind({ name: 'main', port: workloadPort, protocol: 'http' }, '127.0.0.1', port)
else await listen('127.0.0.1', port, socket => core.outbound(socket, service))

/** The halves without TLS serve nobody by their certificate, but a proxy is ready only when it has one. */
async function madeHere() {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  try {
    await writeCertificates(folder)
    return readMaterial(folder, who)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function dialled(at: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = dialTcp('127.0.0.1', at)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
