/** One proxy as `weft proxy --from` runs it, with everything on that a mesh has on: `bench/half out|in|hop|tcp --listen PORT --to PORT [--certs DIR]`. Stays in the foreground. */

import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Role, resourcesFor, roles } from './resources.ts'

const usage = `bench/half out|in|hop|tcp --listen PORT --to PORT [--certs DIR] [--protocol http|tcp] [--peer SPIFFE-ID] [--admin PORT] [-o json]

  out  takes plaintext, speaks mutual TLS to an "in"      in   the reverse, to the workload
  hop  HTTP/1 and h2c, plaintext on both sides            tcp  relays bytes, plaintext on both sides

  --certs     ca.pem, and for out client.pem and client.key, for in server.pem and server.key (or cert.pem and key.pem)
  --protocol  what out and in carry (http)
  --peer      whom "out" must find at the other end (the SPIFFE id in server.pem, if that is there too)
  --admin     port of metrics and state (none)`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    listen: text,
    to: text,
    certs: text,
    protocol: text,
    peer: text,
    admin: text,
    output: { ...text, short: 'o' },
    help: { ...flag, short: 'h' },
  },
})
if (values.help) {
  console.log(usage)
  process.exit(0)
}
const role = roles.find(known => known === positionals[0]) ?? misused(`the first word must be ${roles.join(', ')}`)
const listen = portOf('--listen', values.listen)
const to = portOf('--to', values.to)
const protocol = values.protocol
if (protocol !== undefined && protocol !== 'http' && protocol !== 'tcp') misused('--protocol must be http or tcp')

const tls = role === 'out' || role === 'in' ? material(role) : undefined
const resources = resourcesFor(role, {
  access: true,
  listen,
  to,
  ...(tls === undefined ? {} : { tls, server: values.peer ?? tls.server }),
  ...(protocol === undefined ? {} : { protocol }),
})
const file = kept(JSON.stringify(resources, undefined, 2))
const asked = [
  ...(values.admin === undefined ? [] : ['--admin', values.admin]),
  ...(values.output === undefined ? [] : ['-o', values.output]),
]
// From here on this process is the command itself, as users have it, and nothing of what made the file is in its memory.
process.execve!(fileURLToPath(new URL('../weft', import.meta.url)), ['weft', 'proxy', '--from', file, ...asked], process.env)

/** A file of this content, which outlives this program; the same for the same content, so that they do not pile up. */
function kept(content: string): string {
  const folder = join(tmpdir(), `weft-half-${process.getuid?.() ?? 0}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${createHash('sha256').update(content).digest('hex').slice(0, 16)}.json`)
  const fresh = `${path}.${process.pid}`
  writeFileSync(fresh, content)
  renameSync(fresh, path)
  return path
}

function portOf(name: string, given: string | undefined): number {
  const port = Number(given)
  return given !== undefined && Number.isInteger(port) && port >= 0 && port < 65_536 ? port : misused(`${name} must be a port`)
}

/** Of this role where the folder tells roles apart. */
function material(of: Role): { cert: string; key: string; ca: string; server: string } {
  const from = resolve(values.certs ?? misused(`${of} needs --certs`))
  const who = of === 'in' ? 'server' : 'client'
  const has = (name: string) => existsSync(join(from, name))
  const name = has(`${who}.pem`) ? [`${who}.pem`, `${who}.key`] : ['cert.pem', 'key.pem']
  const [cert = '', key = ''] = name.map(each => join(from, each))
  for (const each of [cert, key, join(from, 'ca.pem')]) if (!existsSync(each)) misused(`--certs: there is no ${each}`)
  const own = identityIn(cert)
  return {
    cert,
    key,
    ca: join(from, 'ca.pem'),
    server: has('server.pem') ? identityIn(join(from, 'server.pem')) : own.replace(/[^/]+$/, 'server'),
  }
}

function identityIn(path: string): string {
  const names = new X509Certificate(readFileSync(path)).subjectAltName?.split(', ') ?? []
  return names.find(name => name.startsWith('URI:spiffe://'))?.slice(4) ?? misused(`${path} has no SPIFFE id`)
}

function misused(says: string): never {
  console.error(`bench/half: ${says}\n\n${usage}`)
  process.exit(2)
}
