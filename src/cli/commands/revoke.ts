/** `weft cert revoke` and `weft cert revocations`: whom the mesh believes no more. Each revocation is a resource like any other: kept, audited, in a file if one likes. */

import { nearest } from '#base/near'
import { defaultIdTemplate, idBy } from '#base/id-template'
import type { Client } from '#api/client'
import type { ControlStatus } from '#api/mesh-api'
import type { Resource } from '#resources/kind'
import { type Revocation, revocationReasons, type RevocationSpec, revocationStanding } from '#resources/weft'
import { badUsage, exit, Stopped } from '../exit.ts'
import { readDuration, tellAgo } from '../moment.ts'
import { printAs } from '../print.ts'
import { doubtsOf, whyInVain } from '../revocation/doubts.ts'
import { isSame, nameFor, plainSerial, type Subject, told } from '../revocation/subject.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type Common = { readonly output?: 'table' | 'json' | 'yaml'; readonly control?: string }
type Flags = Common & {
  readonly serial?: readonly string[]
  readonly trustDomain?: readonly string[]
  readonly reason?: string
  readonly comment?: string
  readonly until?: string
  readonly name?: string
  readonly undo?: boolean
}
type Settings = Partial<Pick<RevocationSpec, 'reason' | 'comment' | 'until'>>

const kind = { group: 'weft.dev', version: 'v1alpha1', plural: 'revocations', namespaced: false }

/** identities: SPIFFE ids and patterns, or SERVICE.NAMESPACE. */
export async function revoke(session: Session, identities: readonly string[], flags: Flags): Promise<number> {
  const { serial = [], trustDomain = [], undo, output = 'table' } = flags
  if (identities.length + serial.length + trustDomain.length === 0)
    throw badUsage(['whom? Give a SPIFFE id or SERVICE.NAMESPACE, --serial or --trust-domain'])
  const now = session.now()
  const given = undo === true ? undefined : settingsOf(flags, now)
  const { client } = await session.reach(flags.control)
  const status = await client.status()
  const subject = subjectOf(status, identities, serial, trustDomain, undo === true)
  if (given === undefined) return takeBack(session, client, subject, flags.name)
  const inVain = whyInVain(subject, status.trustDomain)
  if (inVain !== undefined) throw badUsage([inVain])
  const resource = await put(client, subject, given, flags.name, now)
  const { name } = resource.metadata
  if (output !== 'table') await printAs(session.say, output, resource)
  else {
    session.say.out(`revocation/${name} ${session.say.paint('red', 'revokes')} ${told(subject)}`)
    session.say.out(
      `its open connections end within seconds; take it back with the same words and --undo${resource.spec?.until === undefined ? '' : `; it ends by itself at ${resource.spec.until}`}`,
    )
  }
  for (const doubt of doubtsOf(subject, status, nearest)) session.say.err(`weft: ${doubt}`)
  return exit.ok
}

/** Where there is one about the same, it says from now on what is given anew and what it said. One about somebody else stays as it is. */
async function put(client: Client, subject: Subject, given: Settings, wanted: string | undefined, now: number): Promise<Revocation> {
  const items = (await client.list(kind)).items as readonly Revocation[]
  const alike = items.filter(({ metadata, spec }) => isSame(spec, subject) && (wanted === undefined || metadata.name === wanted))
  const name = wanted ?? (await nameFor(subject))
  const before = alike.find(({ metadata }) => metadata.name === name) ?? alike[0]
  const writing = { fieldManager: 'weft-cert-revoke' }
  if (before !== undefined) {
    const { until, ...said } = before.spec!
    // What has ended would revoke nobody.
    const kept = until === undefined || Date.parse(until) <= now ? said : { ...said, until }
    // With its resourceVersion: who changed it since then is not overwritten.
    return (await client.replace(kind, { ...before, spec: { ...kept, ...given } } as Resource, writing)) as Revocation
  }
  const other = items.find(({ metadata }) => metadata.name === name)
  if (other !== undefined)
    throw new Stopped(`revocation/${name} is about somebody else: ${told(other.spec ?? {})}; it stays as it is. Give another --name`)
  const made = { apiVersion: 'weft.dev/v1alpha1', kind: 'Revocation', metadata: { name }, spec: { ...subject, ...given } }
  return (await client.create(kind, made, writing)) as Revocation
}

/** Those that hold, newest first; all: also those that have ended, and those that are not carried out. */
export async function revocations(
  session: Session,
  { output = 'table', control, all }: Common & { readonly all?: boolean },
): Promise<number> {
  const { client } = await session.reach(control)
  const now = session.now()
  const items = ((await client.list(kind)).items as readonly Revocation[])
    .filter(each => all === true || revocationStanding(each, now) === 'holds')
    .sort((one, other) => (createdAt(one) < createdAt(other) ? 1 : -1))
  const { say } = session
  if (output !== 'table') {
    await printAs(say, output, items)
    return exit.ok
  }
  if (items.length === 0) say.out('nobody is revoked')
  else
    printTable(
      say,
      [
        { name: 'name' },
        { name: 'revokes' },
        { name: 'reason' },
        { name: 'since' },
        { name: 'until' },
        ...(all === true ? [{ name: 'standing' }] : []),
        { name: 'comment' },
      ],
      items.map(each => [
        each.metadata.name,
        told(each.spec ?? {}),
        each.spec?.reason ?? '',
        tellAgo(createdAt(each), now),
        each.spec?.until ?? '',
        ...(all === true ? [revocationStanding(each, now)] : []),
        each.spec?.comment ?? '',
      ]),
    )
  return exit.ok
}

const createdAt = ({ metadata }: Resource): string => metadata.creationTimestamp ?? ''

/** What is given; the reason of a new one stands in its schema. */
function settingsOf({ reason, comment, until }: Flags, now: number): Settings {
  const spelled = (text: string): string => text.toLowerCase().replaceAll(/[-_ ]/g, '')
  const known = reason === undefined ? undefined : revocationReasons.find(each => spelled(each) === spelled(reason))
  if (reason !== undefined && known === undefined) throw badUsage([`--reason ${reason}: must be one of ${revocationReasons.join(', ')}`])
  const span = until === undefined ? undefined : readDuration(until)
  const end = until === undefined ? undefined : span === undefined ? Date.parse(until) : now + span
  if (end !== undefined && Number.isNaN(end))
    throw badUsage([`--until ${until}: must be a duration such as 12h, or a time such as 2026-01-31T12:00:00Z`])
  if (end !== undefined && end <= now) throw badUsage([`--until ${until}: has passed, so nobody would be revoked`])
  return {
    ...(known === undefined ? {} : { reason: known }),
    ...(comment === undefined ? {} : { comment }),
    // Whole seconds, and not before what was asked for.
    ...(end === undefined ? {} : { until: `${new Date(Math.ceil(end / 1000) * 1000).toISOString().slice(0, 19)}Z` }),
  }
}

/** isLenient: also what nobody can be named, so that it can be taken back. */
function subjectOf(
  { idTemplate = defaultIdTemplate, trustDomain }: Pick<ControlStatus, 'idTemplate' | 'trustDomain'>,
  identities: readonly string[],
  serials: readonly string[],
  trustDomains: readonly string[],
  isLenient: boolean,
): Subject {
  const whole = (text: string): string => {
    if (text.startsWith('spiffe://')) return text
    const dot = text.indexOf('.')
    const [service, namespace] = dot < 0 ? [text, 'default'] : [text.slice(0, dot), text.slice(dot + 1)]
    if (!isLenient && !(segment.test(service!) && label.test(namespace!.replaceAll('*', 'x'))))
      throw badUsage([
        `${text}: must be SERVICE.NAMESPACE, and "${segment.test(service!) ? namespace : service}" cannot be a ${segment.test(service!) ? 'namespace' : 'service'}; a name with dots is given as a whole SPIFFE id`,
      ])
    return idBy(idTemplate, trustDomain, { namespace: namespace!, serviceAccount: service! })
  }
  return {
    ...(identities.length === 0 ? {} : { identities: identities.map(whole) }),
    ...(serials.length === 0 ? {} : { serials: serials.map(plainSerial) }),
    ...(trustDomains.length === 0 ? {} : { trustDomains: [...trustDomains] }),
  }
}
const segment = /^[a-zA-Z0-9_*-]+$/
/** Of DNS (RFC 1123), as names of namespaces are. */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Those that say this and no more; what also names others is for an editor. */
async function takeBack(session: Session, client: Client, subject: Subject, name: string | undefined): Promise<number> {
  const { say } = session
  const items = (await client.list(kind)).items as readonly Revocation[]
  const found = items.filter(each => (name === undefined || each.metadata.name === name) && isSame(each.spec, subject))
  for (const { metadata } of found) {
    await client.delete(kind, metadata.name)
    say.out(`revocation/${metadata.name} ${say.paint('green', 'taken back')}`)
  }
  if (found.length > 0) return exit.ok
  const wider = items.filter(({ spec = {} as Partial<RevocationSpec> }) =>
    [...(subject.identities ?? []), ...(subject.serials ?? [])].some(one => told(spec).includes(one)),
  )
  say.err(
    `weft: no Revocation says just ${told(subject)}${wider.length > 0 ? `; ${wider.map(({ metadata }) => metadata.name).join(', ')} names more: edit it` : ''}`,
  )
  return exit.failed
}
