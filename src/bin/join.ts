/** How a workload comes to know the control plane: by a token it was given, by one it asks for, or by what it remembers from last time. */

import { ApiError, type Client, connect, Unreachable } from '#api/client'
import { systemClock } from '#base/clock'
import { connectionBy } from '#cli/credentials'
import type { OtherIdentity, RunOptions } from '#cli/options'
import { pemBlocks } from '#identity/certificate'
import { makeAttestation } from '#identity/rejoin'
import { isSpiffeId, type SpiffeId, workloadId, workloadOf } from '#identity/spiffe'
import { expectWhole, readToken, rootSha256 } from '#identity/token'
import { readBundle } from '#identity/bundle'
import { readText, readTextIfAny, writeAtomic } from '#io/files'
import { type ClientTls, connectGrpc } from '#io/grpc'
import { type Followed, followAgent } from '#proxy/agent-identity'
import { askJoinTokens } from '#proxy/attested-join'
import { type Attest, keepCertificate, type KeptCertificate, LateCertificate, loadCertificate } from '#proxy/certificate'
import type { RunWorld } from './world.ts'

/** Where the control plane is, and who this workload is to it. token: absent when all is remembered. */
export type Invitation = {
  readonly host: string
  readonly port: number
  readonly identity: SpiffeId
  readonly token?: string
  /** It was given by somebody, who hears of it when it is not needed. */
  readonly isGiven?: true
  /** Another proof than a token. */
  readonly attest?: Attest
  /** The identity itself is somebody else's to give. */
  readonly agent?: Followed
}

/** Who wants to join. */
export type Member = Pick<RunOptions, 'namespace' | 'service' | 'token' | 'attestSocket' | 'other' | 'control'>

/** For the control plane, at each of its doors. */
const patienceMs = 10_000

/** Throws BadToken, ApiError or Unreachable, each with one sentence that says what to do. */
export async function invited(options: Member, world: RunWorld, folder: string): Promise<Invitation> {
  const { log } = world
  if (options.other !== undefined) return byOthers(options.other, options, world)
  if (options.token !== undefined) {
    expectWhole(options.token)
    return remember(folder, forThis(options, { ...fromToken(options.token), isGiven: true }, readToken(options.token, 0).idTemplate))
  }
  const client = connect(options.control.url, { ...(await connectionBy(options.control.credentials)), timeoutMs: 5000 })
  const { attestSocket } = options
  const ask = attestSocket === undefined ? () => askToken(client, options) : () => askAttested(attestSocket, options)
  const place = attestSocket ?? `${options.control.url} (from ${options.control.from})`
  const until = Date.now() + patienceMs
  for (let attempt = 0; ; attempt++) {
    try {
      const known = attestSocket === undefined ? await knownHere(client, options, folder, log) : undefined
      return await remember(folder, known ?? fromToken(await ask()))
    } catch (thrown) {
      if (!(thrown instanceof Unreachable || thrown instanceof LateCertificate)) throw thrown
      const remembered = await recall(folder)
      if (remembered !== undefined) {
        log.warn('the control plane does not answer; joining with what is known from last time', {
          control: place,
          reason: thrown.message,
        })
        return remembered
      }
      if (Date.now() > until) throw thrown
      if (attempt === 0) log.warn(`waiting up to ${patienceMs / 1000} s for the control plane at ${place}`)
      await new Promise(resolve => setTimeout(resolve, 300))
    }
  }
}

/** The control plane is named, and known by roots: no token tells them. */
async function byOthers(
  { from, xds, roots, trustDomain, idTemplate }: OtherIdentity,
  { namespace, service }: Member,
  { log }: RunWorld,
): Promise<Invitation> {
  const identity = workloadId(trustDomain, { namespace, serviceAccount: service }, idTemplate)
  const trusted = roots === undefined ? [] : pemBlocks(await readText(roots), 'CERTIFICATE')
  if (roots !== undefined && trusted.length === 0) throw new Error(`${roots} holds no certificate in PEM form`)
  if ('spiffe' in from) {
    const agent = await followAgent({ address: from.spiffe, identity, roots: trusted, clock: systemClock, log, patienceMs })
    return { ...xds, identity, agent }
  }
  const prove = async (csr: string): Promise<string> => {
    // Read each time: whoever gives it renews it.
    const text = await readText(from.certificate)
    const key = ['PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY'].flatMap(label => pemBlocks(text, label))[0]
    const cert = pemBlocks(text, 'CERTIFICATE')
    if (key === undefined || cert.length === 0)
      throw new Error(`${from.certificate} does not hold a private key and a certificate in PEM form`)
    return `weft-attest ${await makeAttestation({ key, cert: cert.join('') }, csr, Date.now())}`
  }
  return { ...xds, identity, attest: { identity, trustDomain, roots: trusted, prove } }
}

/**
 * Whose certificate from last time is good in this mesh needs no token. Undefined: there is none, whoever asks may not read that, or something of that name or serial is
 * revoked, and a token for it is refused with the reason.
 */
async function knownHere(
  client: Client,
  { namespace, service }: Member,
  folder: string,
  log: RunWorld['log'],
): Promise<Invitation | undefined> {
  const own = await loadCertificate(folder, log)
  if (own === undefined || own.notAfter <= Date.now()) return undefined
  try {
    const [{ xds, trustDomain, idTemplate, trust }, bundle] = await Promise.all([client.status(), client.bundle()])
    const identity = workloadId(trustDomain, { namespace, serviceAccount: service }, idTemplate)
    const { roots } = readBundle(JSON.stringify(bundle))
    const isOfThisMesh = own.identity === identity && own.roots.some(root => roots.some(each => rootSha256(each) === rootSha256(root)))
    const isMaybeRevoked = trust?.revocations.some(({ revokes }) =>
      revokes.some(each => each === identity || each.includes('*') || each.startsWith('serial ')),
    )
    return isOfThisMesh && isMaybeRevoked === false ? { ...xds, identity } : undefined
  } catch (thrown) {
    if (thrown instanceof ApiError) return undefined
    throw thrown
  }
}

const askToken = async (client: Client, { namespace, service }: Member): Promise<string> =>
  (await client.createToken({ namespace, serviceAccount: service, uses: 1 })).token

/** By what the Registrations let this process be. */
async function askAttested(path: string, { namespace, service }: Member): Promise<string> {
  const all = await askJoinTokens(path)
  const found = all.find(({ id, token }) => {
    const workload = workloadOf(id, readToken(token, 0).idTemplate)
    return workload?.namespace === namespace && workload.serviceAccount === service
  })
  if (found !== undefined) return found.token
  throw new Error(
    `the Registrations that fit this process let it be ${all.map(({ id }) => id).join(' or ')}, not the service "${service}" in namespace "${namespace}": start it as that, or make a Registration for it`,
  )
}

function fromToken(token: string): Invitation {
  const { xds, identity } = readToken(token, Date.now())
  const [, host = '', port] = /^\[?(.+?)\]?:(\d+)$/.exec(xds) ?? []
  return { host, port: Number(port), identity, token }
}

/** The control plane would refuse each stream of a proxy that says it is another service than its certificate; told here, it is told before anything runs. */
function forThis({ namespace, service }: Member, invitation: Invitation, idTemplate: string): Invitation {
  const workload = workloadOf(invitation.identity, idTemplate)
  if (workload?.namespace === namespace && workload.serviceAccount === service) return invitation
  const remedy = `make one with: weft token create -n ${namespace} --service-account ${service}`
  throw new Error(`the token is for ${invitation.identity}, not for the service "${service}" in namespace "${namespace}"; ${remedy}`)
}

async function remember(folder: string, invitation: Invitation): Promise<Invitation> {
  const { host, port, identity } = invitation
  await writeAtomic(`${folder}/control.json`, `${JSON.stringify({ host, port, identity })}\n`, { mode: 0o600 })
  return invitation
}

async function recall(folder: string): Promise<Invitation | undefined> {
  const text = await readTextIfAny(`${folder}/control.json`)
  if (text === undefined) return undefined
  try {
    const { host, port, identity } = JSON.parse(text) as Record<string, unknown>
    return typeof host === 'string' && typeof port === 'number' && typeof identity === 'string' && isSpiffeId(identity)
      ? { host, port, identity }
      : undefined
  } catch {
    return undefined
  }
}

/** Said of a refusal that waiting does not mend. */
export const notLetIn = (what: 'workload' | 'Gateway', reason: string): Error =>
  new Error(`the control plane does not let this ${what} in: ${reason}`)

/** The workload's certificate, and a way to reach the control plane that shows it. */
export type Membership = { readonly certificate: KeptCertificate; readonly tls: ClientTls }

/** onChange: after every renewal. */
export async function becomeMember(
  invitation: Invitation,
  options: { readonly folder: string; readonly world: RunWorld; readonly signal: AbortSignal; readonly onChange: () => void },
): Promise<Membership> {
  const { host, port, identity, token, isGiven, attest, agent } = invitation
  const { folder, world, signal, onChange } = options
  if (agent !== undefined) {
    agent.follow(onChange)
    return { certificate: agent, tls: { host, port, ...agent.tls } }
  }
  const certificate = await keepCertificate({
    folder,
    identity,
    clock: systemClock,
    log: world.log,
    onChange,
    signal,
    patienceMs,
    ...(token === undefined ? {} : { token }),
    ...(isGiven === undefined
      ? {}
      : {
          onUnneeded: ({ notAfter }) =>
            world.say(
              `weft: the certificate from last time is used (good until ${new Date(notAfter).toISOString()}): the join token was not needed, and not tried`,
            ),
        }),
    ...(attest === undefined ? {} : { attest }),
    channel: tls => connectGrpc({ host, port, ...tls }),
  }).catch((thrown: unknown) => {
    if (!(thrown instanceof LateCertificate)) throw thrown
    const remedy = `is "weft control" running there, and can this machine reach that port?`
    throw new Error(`the control plane at ${host}:${port} does not answer (${thrown.message}); ${remedy}`)
  })
  return { certificate, tls: { host, port, ...certificate.tls } }
}
