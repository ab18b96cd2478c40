/** `weft policy suggest` and `weft lockdown`: the least that callers need, from what they did; nothing is changed but by `lockdown --apply`. */

import type { CallSeen, ProxyStatus } from '#api/mesh-api'
import type { Service } from '#resources/core'
import type { Resource } from '#resources/kind'
import type { MeshSpec } from '#resources/weft'
import { Flags } from '../flags/collect.ts'
import { exit, Stopped } from '../exit.ts'
import { tellSpan } from '../moment.ts'
import { type Coverage, coverageOf, deniedBy, type Judged, tellCall } from '../policy/coverage.ts'
import { type Suggested, suggestPolicies } from '../policy/suggest.ts'
import { printAs, yamlText } from '../print.ts'
import { pause, type Session } from '../session.ts'
import { count } from '../words.ts'
import { type Live, readLive, withDocuments } from '../world/live.ts'

type Given = {
  readonly since?: string
  readonly namespace?: string
  readonly paths?: boolean
  readonly all?: boolean
  readonly output?: 'yaml' | 'json'
  readonly control?: string
}

/** The policies alone go to stdout; what there is to say of them goes to stderr. */
export async function suggest(session: Session, given: Given): Promise<number> {
  const { say } = session
  const flags = new Flags(given)
  const sinceMs = flags.duration('since')
  const namespace = flags.label('namespace')
  flags.stopIfWrong()
  const { client } = await session.reach(given.control)
  const live = await readLive(client, session.now(), sinceMs === undefined ? undefined : Math.ceil(sinceMs / 1000))
  const { watchedMs, coverage, policies } = proposalOf(live, { namespace, paths: given.paths ?? false, isAll: given.all ?? false })
  if (given.output === 'json') {
    await printAs(say, 'json', { watchedSeconds: Math.round(watchedMs / 1000), policies, ...coverage, dropped: live.seen.dropped })
    return exit.ok
  }
  for (const line of storyOf(live, watchedMs, coverage)) say.err(line)
  if (policies.length === 0) say.err('there is nothing to suggest: every call that was seen is named by a rule, or nothing called')
  if (policies.length > 0) say.raw(await documentsOf(policies))
  return exit.ok
}

type Proposal = { readonly watchedMs: number; readonly coverage: Coverage; readonly policies: readonly Suggested[] }

/** namespace: only of its services. isAll: also for calls that a rule names already. */
function proposalOf(
  { world, seen }: Live,
  { namespace, paths, isAll }: { readonly namespace: string | undefined; readonly paths: boolean; readonly isAll: boolean },
): Proposal {
  const coverage = coverageOf(world, seen, namespace)
  const passed = seen.calls.filter(
    ({ outcome, service }) => outcome === 'allowed' && (namespace === undefined || service.endsWith(`.${namespace}`)),
  )
  const services = world.resources.filter((each): each is Service => each.kind === 'Service')
  return {
    watchedMs: Date.parse(seen.at) - Date.parse(seen.since),
    coverage,
    policies: suggestPolicies(isAll ? passed : coverage.uncovered, {
      trustDomain: world.trustDomain,
      idTemplate: world.idTemplate,
      services,
      paths,
    }),
  }
}

const documentsOf = async (documents: readonly Resource[]): Promise<string> => (await Promise.all(documents.map(yamlText))).join('---\n')

/** So many of a kind are told one by one. */
const mostTold = 20

function storyOf({ seen, world }: Live, watchedMs: number, { uncovered, unproven, denied, unused }: Coverage): readonly string[] {
  const list = <T>(all: readonly T[], title: string, tell: (one: T) => string): readonly string[] =>
    all.length === 0
      ? []
      : [
          title,
          ...all.slice(0, mostTold).map(one => `  ${tell(one)}`),
          ...(all.length > mostTold ? [`  and ${all.length - mostTold} more`] : []),
        ]
  const times = (call: CallSeen): string => `${tellCall(call)} (${count(call.count, 'time')})`
  return [
    `watching for ${tellSpan(watchedMs)}: ${count(seen.calls.length, 'kind')} of calls; what is called less often than that was not seen`,
    ...list(uncovered, 'no rule names these calls:', times),
    ...list(unproven, 'these callers prove no identity, so that no rule can name them:', times),
    ...list(denied, 'denied, and so not suggested:', times),
    ...list(unused, 'no call needed these rules:', ({ policy, rule }) => `rule ${rule} of AccessPolicy ${policy}`),
    ...(seen.dropped === 0 ? [] : [`there was no room for ${count(seen.dropped, 'call')}: what is told is not all`]),
    ...(world.unseen === 0 ? [] : [unseenTold(world.unseen)]),
  ]
}

export const unseenTold = (unseen: number): string =>
  `${count(unseen, 'rule')} of access ${unseen === 1 ? 'looks' : 'look'} at headers, hosts, addresses or times, which are not recorded: calls are judged as if they had none, and came now`

type LockdownFlags = {
  readonly paths?: boolean
  readonly apply?: boolean
  readonly force?: boolean
  readonly minWatch?: string
  readonly wait?: string
  readonly output?: 'text' | 'json' | 'yaml'
  readonly control?: string
}

const usualWatchMs = 3_600_000
const usualWaitMs = 30_000
/** By then proxies, which push each second, have told what they counted. */
const pushedMs = 2_000

/** Shows first, always. Fails while it is not safe, unless forced. */
export async function lockdown(session: Session, given: LockdownFlags): Promise<number> {
  const { say } = session
  const flags = new Flags(given)
  const minWatchMs = flags.duration('minWatch') ?? usualWatchMs
  const waitMs = flags.duration('wait') ?? usualWaitMs
  flags.stopIfWrong()
  const { client } = await session.reach(given.control)
  const now = session.now()
  const live = await readLive(client, now)
  const { watchedMs, coverage, policies } = proposalOf(live, { namespace: undefined, paths: given.paths ?? false, isAll: false })
  const documents: readonly Resource[] = [...policies, denyingMesh]
  const candidate = withDocuments(live.world, [...policies, denyingOf(live.world.resources)], now)
  const denied = deniedBy(candidate, live.seen.calls)
  const called = new Set(live.seen.calls.map(({ service }) => service))
  const uncalled = [
    ...new Set(live.world.workloads.filter(({ ports }) => ports.length > 0).map(each => `${each.service}.${each.namespace}`)),
  ]
    .filter(service => !called.has(service))
    .sort()
  const unsafe = dangersOf({ live, watchedMs, minWatchMs, denied, proxies: live.status.proxies })
  const isAlready = live.world.resources.some(each => isMesh(each) && accessOf(each) === 'Deny') && policies.length === 0

  if (given.output === 'json' || given.output === 'yaml')
    await printAs(say, given.output, { safe: unsafe.length === 0, unsafe, documents, denied, uncalled })
  else {
    say.raw(await documentsOf(documents))
    for (const line of storyOf(live, watchedMs, coverage)) say.err(line)
    if (uncalled.length > 0) say.err(`nobody called these, and nobody will be able to: ${uncalled.join(', ')}`)
    say.err(denied.length === 0 ? 'of what was seen, nothing would be denied' : 'this was let in, and would be denied:')
    for (const { call, says } of denied.slice(0, mostTold)) say.err(`  ${tellCall(call)}: ${says}`)
    if (denied.length > mostTold) say.err(`  and ${denied.length - mostTold} more`)
    for (const name of openOf(live.world.resources))
      say.err(`what no policy is about stays open in the namespace ${name}: spec.access.namespaces of the Mesh says Allow there`)
    for (const says of unsafe) say.err(`${say.paint('red', '!')} ${says}`)
  }
  if (isAlready) {
    say.err('the mesh is locked down already')
    return exit.ok
  }
  const mayGo = unsafe.length === 0 || given.force === true
  if (given.apply !== true) {
    say.err(mayGo ? 'nothing was changed: weft lockdown --apply does it' : 'it is not safe yet, and nothing was changed')
    return mayGo ? exit.ok : exit.failed
  }
  if (!mayGo) throw new Stopped('it is not safe yet, and nothing was changed; --force does it nevertheless')

  const { waitForProxies } = await import('../apply/wait.ts')
  const kinds = await client.kinds()
  const put = async (resource: Resource): Promise<number> => {
    const kind = kinds.find(each => each.kind === resource.kind && each.group === 'weft.dev')
    if (kind === undefined) throw new Stopped(`the control plane does not serve ${resource.kind}; weft version shows whether it is older`)
    const outcome = await client.apply(kind, resource, { fieldManager: 'weft-lockdown', force: true })
    say.err(`${resource.kind} ${resource.metadata.name} ${outcome.outcome}`)
    return Number(outcome.resource.metadata.resourceVersion)
  }
  // Who is let in first, and then the door is shut.
  const revisions: number[] = []
  for (const policy of policies) revisions.push(await put(policy))
  if (revisions.length > 0 && !(await waitForProxies(session, client, Math.max(...revisions), waitMs, performance.now())))
    throw new Stopped('not every proxy has the policies, so the default of the mesh stays as it is: run it again when weft status is well')
  // Who called for the first time meanwhile is told by now.
  await pause(pushedMs, session.signal)
  const { world, seen } = await readLive(client, session.now())
  const late = deniedBy(withDocuments(world, [denyingOf(world.resources)], now), seen.calls)
  const fresh = late.filter(({ call }) => !denied.some(each => tellCall(each.call) === tellCall(call)))
  if (fresh.length > 0 && given.force !== true)
    throw new Stopped(
      `meanwhile there were calls that would be denied, so the default of the mesh stays as it is; run it again: ${fresh.map(({ call }) => tellCall(call)).join(', ')}`,
    )
  const revision = await put(denyingMesh)
  const isActive = await waitForProxies(session, client, revision, waitMs, performance.now())
  say.err('to open it again: spec.access.default: Allow of Mesh default')
  return isActive ? exit.ok : exit.failed
}

/** Only the field that this command is about. */
const denyingMesh: Resource = {
  apiVersion: 'weft.dev/v1alpha1',
  kind: 'Mesh',
  metadata: { name: 'default' },
  spec: { access: { default: 'Deny' } },
}
const isMesh = ({ kind, metadata }: Resource): boolean => kind === 'Mesh' && metadata.name === 'default'
const accessOf = ({ spec }: Resource): unknown =>
  (spec as { readonly access?: { readonly default?: unknown } } | undefined)?.access?.default

/** Namespaces with a default of their own that lets in. */
const openOf = (resources: readonly Resource[]): readonly string[] => {
  const { access } = (resources.find(isMesh)?.spec ?? {}) as Partial<MeshSpec>
  return (access?.namespaces ?? []).flatMap(({ name, default: each }) => (each === 'Allow' ? [name] : []))
}

/** With all else that the Mesh says. */
function denyingOf(resources: readonly Resource[]): Resource {
  const found = resources.find(isMesh)
  return found === undefined
    ? denyingMesh
    : {
        ...found,
        spec: {
          ...(found.spec as object),
          access: { ...(found.spec as { readonly access?: object } | undefined)?.access, default: 'Deny' },
        },
      }
}

/** Why it is not safe yet; empty: it is. */
export function dangersOf({
  live: { seen, world },
  watchedMs,
  minWatchMs,
  denied,
  proxies,
}: {
  readonly live: Pick<Live, 'seen' | 'world'>
  readonly watchedMs: number
  readonly minWatchMs: number
  readonly denied: readonly Judged[]
  readonly proxies: readonly Pick<ProxyStatus, 'id' | 'state' | 'version'>[]
}): readonly string[] {
  const away = proxies.filter(({ state }) => state === 'disconnected' || state === 'rejected').map(({ id }) => id)
  // Envoys tell their name before their version.
  const blind = proxies.filter(({ version }) => /^[a-z]/i.test(version)).map(({ id }) => id)
  return [
    ...(watchedMs < minWatchMs
      ? [`watching for ${tellSpan(watchedMs)} only, less than ${tellSpan(minWatchMs)}: who calls seldom was not seen (--min-watch)`]
      : []),
    ...(denied.length > 0 ? [`${count(denied.length, 'kind')} of calls that are let in now would be denied`] : []),
    ...(seen.dropped > 0 ? [`there was no room for ${count(seen.dropped, 'call')}: what was seen is not all`] : []),
    ...(away.length > 0 ? [`what these proxies see is not known now, or they refuse what they are told: ${away.join(', ')}`] : []),
    ...(blind.length > 0 ? [`these are no proxies of Weft and do not tell who calls them: ${blind.join(', ')}`] : []),
    ...(world.unseen > 0 ? [unseenTold(world.unseen)] : []),
  ]
}
