/** `weft explain request`: what would become of a request, by what the control plane tells the proxies; nothing is sent. */

import { ApiError, type Client, type ServedKind } from '#api/client'
import type { Detection, ProxyConfig, ProxyStatus } from '#api/mesh-api'
import { toldProtocol } from '#compiler'
import { explain, type Explanation, type Known, type KnownOf } from '#model/explain'
import { gatewayService } from '#model/workload'
import type { Service } from '#resources/core'
import { asCall, readQuestion } from '../explain/question.ts'
import { storyOf, type Told } from '../explain/story.ts'
import { badUsage, exit, Stopped } from '../exit.ts'
import { mapLimited } from '../limit.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { chooseProxy } from './proxy.ts'

type Flags = {
  readonly from?: string
  readonly to?: string
  readonly header?: readonly string[]
  readonly serverName?: string
  readonly claim?: readonly string[]
  readonly address?: string
  readonly at?: string
  readonly output?: 'text' | 'json' | 'yaml'
  readonly namespace?: string
  readonly control?: string
}

/** Of how many called proxies the configuration is asked; each is as large as that of the caller. */
const mostAsked = 32

export async function explainRequest(session: Session, words: readonly string[], flags: Flags): Promise<number> {
  const { from, to, header = [], serverName, claim = [], address: by, at, output = 'text' } = flags
  const missing = [
    ...(from === undefined ? ['--from SERVICE, or gateway/NAME: who asks, or where it comes in'] : []),
    ...(to === undefined ? ['--to NAME[:PORT]: whom it asks'] : []),
  ]
  if (from === undefined || to === undefined) throw badUsage(missing.map(each => `${each} is needed`))
  const { question: asked, isPlain, place } = readQuestion({ to, words, headers: header, serverName, claims: claim, address: by, at })
  const { client, address } = await session.reach(flags.control)
  const remedy = whenAway(from, to)
  const proxy = await chooseProxy(client, proxyOf(from), flags.namespace ?? address.namespace, remedy)
  const notConnected = (thrown: unknown): never => {
    // The control plane says why, where its identity is revoked.
    throw thrown instanceof ApiError && thrown.code === 404 ? new Stopped(`${thrown.message}; ${remedy}`) : thrown
  }
  const [config, proxies] = await Promise.all([client.proxyConfig(proxy.id).catch(notConnected), client.proxies()])
  const caller: Known = { view: config.view, identity: proxy.identity }

  const wanted = new Set<string>()
  const first = explain(asked, caller, workload => (wanted.add(workload), 'unasked'))
  const question = isPlain && first.listener?.protocol === 'grpc' ? asCall(asked) : asked
  if (question !== asked) explain(question, caller, workload => (wanted.add(workload), 'unasked'))
  const explanation = explain(question, caller, await knownTo(client, proxies, [...wanted].sort()))
  const told: Told = {
    from: proxy,
    to: place,
    revision: config.revision,
    isSecure: asked.isSecure === true,
    request: { method: question.request.method, host: question.request.host, path: question.request.path, search: question.request.search },
    ...(await protocolOf(client, explanation)),
    ...(explanation.listener?.protocol === 'detect' ? { seen: await seenAt(client, proxy.id, explanation.listener.name) } : {}),
    ...(await leftOut(client, explanation)),
    explanation,
  }
  if (output === 'text') for (const line of storyOf(session.say, told, session.now())) session.say.out(line)
  else await printAs(session.say, output, { ...told, from: { proxy: proxy.id, service: proxy.service, identity: proxy.identity } })
  const isAnswered = explanation.answered !== undefined
  return explanation.arrives === 'always' || isAnswered ? exit.ok : exit.failed
}

/** `gateway/NAME` is where a request comes in from outside: its caller is the proxy of that Gateway. */
const proxyOf = (from: string): string => (from.startsWith('gateway/') ? gatewayService(from.slice('gateway/'.length)) : from)

/** Told is what its proxy was told, so there must be one. */
function whenAway(from: string, to: string): string {
  const must = 'the caller must run while it is asked about (start it with weft run), since what its proxy was told is looked at'
  if (from.startsWith('gateway/')) return 'the Gateway must run (weft gateway) while it is asked about'
  const called = to.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/, '')
  return `${must}; whether policies let it in is told without it: weft explain policy ${called} --from ${from}`
}

const slicesKind: Pick<ServedKind, 'group' | 'version' | 'plural' | 'namespaced'> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  namespaced: true,
}

/** Why EndpointSlices bring no endpoint to the backends that have none. */
async function leftOut(client: Client, { shares }: Explanation): Promise<Pick<Told, 'slices'>> {
  const empty = [
    ...new Set(
      shares.flatMap(({ backend, endpoints, failure }) =>
        failure?.code === 'no-endpoint' && endpoints.length === 0 && backend !== undefined ? [backend.service] : [],
      ),
    ),
  ]
  const told = await Promise.all(
    empty.map(async service => {
      const [name = '', namespace = ''] = service.split('.')
      const { items } = await client.list(slicesKind, { namespace, labelSelector: `kubernetes.io/service-name=${name}` })
      return items.flatMap(({ metadata, status }) => {
        const { conditions = [] } = (status ?? {}) as {
          readonly conditions?: readonly { readonly status: string; readonly reason: string; readonly message: string }[]
        }
        return conditions
          .filter(each => each.status === 'False')
          .map(({ reason, message }) => ({ name: metadata.name, namespace, reason, message }))
      })
    }),
  )
  const slices = told.flat()
  return slices.length === 0 ? {} : { slices }
}

async function knownTo(client: Client, proxies: readonly ProxyStatus[], workloads: readonly string[]): Promise<KnownOf> {
  const connected = new Map(proxies.filter(({ state }) => state !== 'disconnected').map(proxy => [proxy.id, proxy]))
  const asked = workloads.filter(id => connected.has(id)).slice(0, mostAsked)
  const configs = await mapLimited(asked, id => client.proxyConfig(id).catch((): ProxyConfig | undefined => undefined))
  const known = new Map(
    configs.flatMap(config =>
      config === undefined ? [] : [[config.id, { view: config.view, identity: connected.get(config.id)!.identity }] as const],
    ),
  )
  return id => known.get(id) ?? (connected.has(id) && !asked.includes(id) ? 'unasked' : 'away')
}

/** Of the caller's own proxy, for it is the one that finds out. */
const seenAt = async (client: Client, proxy: string, listener: string): Promise<readonly Detection[]> =>
  (await client.detections(proxy)).filter(each => each.direction === 'outbound' && each.listener === listener)

const serviceKind: Pick<ServedKind, 'group' | 'version' | 'plural' | 'namespaced'> = {
  group: '',
  version: 'v1',
  plural: 'services',
  namespaced: true,
}

/** What says so: the Service's document where that does, else its workloads; a route of connections overrules both. */
async function protocolOf(client: Client, { listener }: Explanation): Promise<Pick<Told, 'protocolBy'>> {
  if (listener === undefined || listener.protocol === 'udp' || listener.direction === 'gateway') return {}
  const [name = '', namespace = ''] = listener.service.split('.')
  const service = (await client.find(serviceKind, name, { namespace })) as Service | undefined
  const port = service?.spec?.ports?.find(each => each.port === listener.port && each.protocol !== 'UDP')
  if (port === undefined) return {}
  const said = toldProtocol(port)
  if (said?.protocol === listener.protocol)
    return { protocolBy: said.by === 'appProtocol' ? `appProtocol "${port.appProtocol}"` : `the name of the port, "${port.name}"` }
  if (said === undefined && listener.protocol === 'detect') return {}
  const isRouted = said !== undefined || listener.serverNames !== undefined
  return { protocolBy: isRouted ? `a ${listener.serverNames === undefined ? 'TCPRoute' : 'TLSRoute'} on it` : 'its workloads' }
}
