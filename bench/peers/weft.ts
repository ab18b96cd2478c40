/** Weft: a process for each half, as `bench/half` starts it. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Peer, Place } from '../peer.ts'
import { type Role, roles } from '../resources.ts'

const half = fileURLToPath(new URL('../half', import.meta.url))
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const command =
  (role: Role) =>
  ({ listen, to, certs }: Place): readonly string[] => [
    half,
    role,
    '--listen',
    String(listen),
    '--to',
    String(to),
    ...(role === 'out' || role === 'in' ? ['--certs', certs] : []),
  ]

export const weft: Peer = {
  name: 'weft',
  version: `${version}, Node ${process.versions.node}`,
  does: '10 routes, identity check, metrics by edge and route, least request',
  roles: {
    ...Object.fromEntries(roles.map(role => [role, command(role)])),
    h2out: command('out'),
    h2in: command('in'),
  },
}
