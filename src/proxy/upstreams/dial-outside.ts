/** One connection to a place outside the mesh: its name looked up by this proxy, denied addresses passed over, and TLS begun where the backend asks for it. */

import { Failure } from '#base/failure'
import { dialUdp, type UdpFlow, type UdpHandlers } from '#io/udp'
import { dialTcp, isIp, originate } from '#io/net'
import type { Backend, Endpoint } from '#model/backend'
import { termsOf } from '#model/tls'
import type { Connected, Reach } from './reach.ts'
import { opened } from './opened.ts'

/** So many addresses of one name are tried. */
const mostAddresses = 4

export async function dialOutside(backend: Backend, endpoint: Endpoint, reach: Reach, offers: readonly string[]): Promise<Connected> {
  let last: Failure | undefined
  for (const address of await addressesOf(endpoint, reach, backend.type === 'named' || backend.type === 'original')) {
    try {
      return await reached(backend, endpoint, address, reach, offers)
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.fate !== 'safe') throw thrown
      last = thrown
    }
  }
  throw last ?? new Failure('connect-failed', endpoint.host)
}

/** Those that may be reached; throws where there is none. isChosen: by the caller, and not by who wrote the backend. */
export async function addressesOf(
  { host, port }: Pick<Endpoint, 'host' | 'port'>,
  reach: Pick<Reach, 'lookup' | 'refusal'>,
  isChosen: boolean,
): Promise<readonly string[]> {
  const found = isIp(host) ? [host] : await reach.lookup(host)
  if (found.length === 0) throw new Failure('connect-failed', `${host}: there is no such name, or no DNS server answers`)
  const refusals = found.map(address => reach.refusal(host, address, port, isChosen && address !== host))
  const allowed = found.filter((_, at) => refusals[at] === undefined)
  if (allowed.length === 0) throw refusals[0]!
  return allowed.slice(0, mostAddresses)
}

async function reached(
  { tls, connectTimeoutMs }: Backend,
  { host, port }: Endpoint,
  address: string,
  reach: Reach,
  offers: readonly string[],
): Promise<Connected> {
  const at = { host: host === address ? host : `${host} (${address})`, port }
  const socket = dialTcp(address, port)
  if (tls === undefined) return { socket: await opened(socket, 'connect', connectTimeoutMs, at), identity: undefined }
  const { profile = 'compatible', ...settings } = tls
  const secure = originate(socket, { ...settings, terms: termsOf[profile], serverName: settings.serverName ?? host }, offers)
  await opened(secure, 'secureConnect', connectTimeoutMs, at, tls.profile)
  reach.agreed(secure, 'outside')
  return { socket: secure, identity: undefined, alpn: typeof secure.alpnProtocol === 'string' ? secure.alpnProtocol : undefined }
}

/** What comes before the name is found; over UDP more need not be kept. */
const mostWaiting = 64

/** A flow of datagrams to a place outside the mesh, by the same look-up. */
export function flowOutside(
  place: Pick<Endpoint, 'host' | 'port'>,
  reach: Pick<Reach, 'lookup' | 'refusal'>,
  on: UdpHandlers,
  isChosen = false,
): UdpFlow {
  let flow: UdpFlow | undefined
  let isClosed = false
  const waiting: Uint8Array[] = []
  addressesOf(place, reach, isChosen).then(
    ([address]) => {
      if (isClosed) return
      flow = dialUdp(address!, place.port, on)
      for (const bytes of waiting.splice(0)) flow.send(bytes)
    },
    (why: unknown) => isClosed || on.failed(why instanceof Failure ? new Error(why.says) : (why as Error)),
  )
  return {
    send: bytes => {
      if (flow !== undefined) flow.send(bytes)
      else if (waiting.length < mostWaiting) waiting.push(bytes)
    },
    close: () => {
      isClosed = true
      flow?.close()
    },
  }
}
