/** The proxy's own certificate: got with a join token, renewed before it ends, kept on disk so that a proxy starts with the control plane gone. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { readCertificate } from '#identity/certificate'
import { makeCsr } from '#identity/csr'
import { type Key, newKey } from '#identity/key'
import { makeRejoin } from '#identity/rejoin'
import { driveRotation, type Life, type RotationState } from '#identity/rotation'
import { controlId, type SpiffeId } from '#identity/spiffe'
import { type JoinToken, readToken, rootSha256 } from '#identity/token'
import { readIdentity } from '#identity/verify'
import { type ClientTls, type GrpcChannel, type KeyAndChain, RpcError, rpcCodes } from '#io/grpc'
import { createCertificate } from '#xds/rpcs'
import { adopt, loadCertificate, type OwnCertificate, saveCertificate } from './certificate/kept.ts'

export { loadCertificate, type OwnCertificate } from './certificate/kept.ts'

export type KeepCertificate = {
  /** Where the last certificate and its key are kept, mode 0600. */
  readonly folder: string
  readonly token?: string
  /** Who this is to be, when there is no token to say so: a kept certificate of another identity is then not used. */
  readonly identity?: SpiffeId
  /** A proof of who this is that is no token: what the request shows for a first certificate, and by which roots the control plane is known. */
  readonly attest?: Attest
  /** Opens a channel to the control plane: `tls => connectGrpc({ host, port, ...tls })`. */
  readonly channel: (tls: Omit<ClientTls, 'host' | 'port'>) => GrpcChannel
  /** What to ask for; absent: what the authority gives (24 h). */
  readonly lifeMs?: number
  readonly clock: Clock
  readonly log: Log
  /** After every renewal; not for the first. */
  readonly onChange?: (own: OwnCertificate) => void
  /** The kept one is good, and the token was not needed. */
  readonly onUnneeded?: (own: OwnCertificate) => void
  /** Ends the wait for a first certificate. */
  readonly signal?: AbortSignal
  /** How long that wait may take; absent: for ever. Whoever was in the mesh before, and slept too long, waits for ever. */
  readonly patienceMs?: number
}

/** roots: PEM. prove: the `authorization` of a request. */
export type Attest = {
  readonly identity: SpiffeId
  readonly trustDomain: string
  readonly roots: readonly string[]
  readonly prove: (csr: string) => Promise<string>
}

/** How to know the control plane, and be known by it. */
export type ControlTls = Pick<ClientTls, 'certificate' | 'trust' | 'expectedServer'>

export type KeptCertificate = {
  current(): OwnCertificate
  /** For channels to the control plane: `connectGrpc({ host, port, ...kept.tls })`. Always shows the newest certificate; call `renew` of the channel in `onChange`. */
  readonly tls: ControlTls
  /** The part of `current` that is fit to be shown: undefined once it has expired, because a server refuses an expired one even where none is needed. */
  shown(): KeyAndChain | undefined
  state(): RotationState
  /** The mesh trusts these now, what new certificates lead to first: where that is not what this one leads to, the next one is asked for soon. */
  trusted(roots: readonly string[]): void
  /** The control plane does not believe this certificate (any more): where there is a join token that is good, the next one is asked for by that, at once. False: there is none, or it was of no use. */
  refused(): boolean
  stop(): void
}

/** The certificate cannot be had: the message is one sentence that says what to do. */
export class NoCertificate extends Error {}
/** Waiting longer might help: the control plane was not reached. */
export class LateCertificate extends NoCertificate {}

/**
 * Resolves with a kept certificate at once, or else with the first from the control plane, for which it waits with back-off while that is
 * down. Throws BadToken or NoCertificate when waiting is of no use.
 */
export async function keepCertificate(options: KeepCertificate): Promise<KeptCertificate> {
  const { folder, clock, log } = options
  const kept = await loadCertificate(folder, log)
  // One that has expired is of use too: it proves who asks for the next.
  const hasOnlyKept = options.token === undefined && options.attest === undefined
  const usable = kept && fits(kept, options) ? kept : undefined
  if (!usable && hasOnlyKept) throw new NoCertificate(whyNone(kept, options))
  // an old token is no obstacle to a proxy that has a certificate
  const join = options.token === undefined ? undefined : usable ? readIfGood(options.token, clock) : readToken(options.token, clock.now())

  if (join && options.identity !== undefined && join.identity !== options.identity) {
    throw new NoCertificate(`the join token is for ${join.identity}, not for ${options.identity}; make one with: weft token create`)
  }

  let own = usable
  let hasBegun = usable !== undefined && usable.notAfter > clock.now()
  if (usable && hasBegun && options.token !== undefined) options.onUnneeded?.(usable)
  let isRefused = false
  let isReplaced = false
  /** It brought this process its first certificate, or was tried in vain: most are good for one use. */
  let isTokenSpent = false
  const isValid = (): boolean => own !== undefined && own.notAfter > clock.now()
  // an expired one is not shown: a server refuses it even where it needs none
  const shown = (): KeyAndChain | undefined => (isValid() && !isRefused ? own : undefined)
  let lastReason = 'it does not answer'
  let toldAt = 0
  let settle: { readonly resolve: () => void; readonly reject: (thrown: unknown) => void } | undefined

  const { token: _token, ...withoutToken } = options
  // Asked for again by the same key until it is there: a token for one use may have been used by a request whose reply was lost.
  let firstKey: Promise<Key> | undefined
  const keyToAskFor = (): Promise<Key> => (hasBegun ? newKey() : (firstKey ??= newKey()))
  const ask = async (): Promise<Life> => {
    const next = await request(
      isTokenSpent && !isRefused && own !== undefined ? withoutToken : options,
      join,
      own,
      shown,
      await keyToAskFor(),
    )
    const isFirst = !hasBegun
    // Asked without a certificate to show: by the token, if there is one.
    isTokenSpent ||= shown() === undefined
    hasBegun = true
    isReplaced = isRefused
    isRefused = false
    own = next
    await saveCertificate(folder, next).catch((thrown: unknown) =>
      log.warn('the certificate cannot be kept on disk: a restart needs the control plane', { error: thrown }),
    )
    log.info(isFirst ? 'got a certificate' : 'renewed the certificate', {
      identity: next.identity,
      serial: next.serial,
      until: new Date(next.notAfter).toISOString(),
    })
    if (isFirst) settle?.resolve()
    else options.onChange?.(next)
    return { notBefore: clock.now(), notAfter: next.notAfter }
  }
  const failed = (thrown: unknown, retryAt: number): void => {
    // Whoever takes a revocation back believes the certificate again.
    isRefused = false
    if (!hasBegun && isFinal(thrown)) return settle?.reject(thrown)
    const reason = thrown instanceof Error ? thrown.message : String(thrown)
    // Asked for every second or two where there is none at all: the same is said twice a minute.
    if (reason === lastReason && clock.now() - toldAt < 30_000) return
    toldAt = clock.now()
    lastReason = reason
    log.warn('no certificate from the control plane yet', {
      reason,
      retryInMs: retryAt - clock.now(),
      have: isValid() ? 'a valid one' : 'none',
    })
  }
  const rotation = driveRotation({
    clock,
    random: Math.random,
    kept: hasBegun ? usable?.life : undefined,
    ask,
    failed,
    expired: () => log.error('the certificate has expired: peers refuse this proxy until a new one is had', { identity: own?.identity }),
  })
  if (!hasBegun) {
    const abort = (): void => settle?.reject(new NoCertificate('stopped before a certificate was had'))
    const { patienceMs } = options
    const giveUp = (): void => settle?.reject(new LateCertificate(`no certificate within ${patienceMs! / 1000} s: ${lastReason}`))
    const cancel = patienceMs === undefined || usable !== undefined ? undefined : clock.after(patienceMs, giveUp)
    try {
      await new Promise<void>((resolve, reject) => {
        settle = { resolve, reject }
        options.signal?.addEventListener('abort', abort)
        if (options.signal?.aborted) abort()
      })
    } catch (thrown) {
      rotation.stop()
      throw thrown
    } finally {
      cancel?.()
      options.signal?.removeEventListener('abort', abort)
    }
  }
  const current = (): OwnCertificate => own!
  const tls: ControlTls = {
    certificate: shown,
    trust: () => ({ roots: current().roots }),
    expectedServer: expectControl(current().trustDomain),
  }
  const trusted = ([first]: readonly string[]): void => {
    if (first !== undefined && !isSame(first, current().roots[0]!)) rotation.hurry(Math.random() * soonMs)
  }
  const refused = (): boolean => {
    // Asked already, and not answered yet; or answered just now, while the old one was being shown.
    if (isRefused || isReplaced) {
      isReplaced = false
      return true
    }
    if (isTokenSpent || options.token === undefined || readIfGood(options.token, clock) === undefined) return false
    isTokenSpent = true
    isRefused = true
    rotation.hurry(0)
    return true
  }
  return { current, tls, shown, state: rotation.state, trusted, refused, stop: rotation.stop }
}

/** Within this time, at random: a thousand proxies hear of a new root at once. */
const soonMs = 5000

const isSame = (one: string, other: string): boolean => one.replaceAll(/\s/g, '') === other.replaceAll(/\s/g, '')

async function request(
  options: KeepCertificate,
  join: JoinToken | undefined,
  own: OwnCertificate | undefined,
  shown: () => KeyAndChain | undefined,
  key: Key,
): Promise<OwnCertificate> {
  const { identity, trustDomain } = own ?? join ?? options.attest!
  let untrusted: string | undefined
  const channel = options.channel({
    certificate: shown,
    trust: () => (own ? { roots: own.roots } : join ? { rootSha256: join.rootSha256 } : { roots: options.attest!.roots }),
    expectedServer: expectControl(trustDomain),
    onUntrusted: reason => {
      untrusted = reason
    },
  })
  try {
    const csr = makeCsr(key, identity)
    const proofs = shown() ? [{}] : await proofsOf(own, options, csr)
    for (const [at, metadata] of proofs.entries()) {
      try {
        const { chain } = await channel.unary(
          createCertificate,
          { csr, validitySeconds: Math.ceil((options.lifeMs ?? 0) / 1000) },
          { metadata },
        )
        return adopt(key, chain, { trustDomain, identity }, options.clock.now())
      } catch (thrown) {
        // A token that was used already is no obstacle to one who can prove to have been here before.
        if (at === proofs.length - 1 || !(thrown instanceof RpcError && thrown.code === rpcCodes.unauthenticated)) throw thrown
      }
    }
    throw new NoCertificate(whyNone(own, options))
  } catch (thrown) {
    throw untrusted === undefined ? thrown : new NoCertificate(`the control plane cannot be trusted: ${untrusted}`)
  } finally {
    channel.close()
  }
}

/** Without a certificate that is valid: a join token that is, and then the expired certificate. */
async function proofsOf(
  own: OwnCertificate | undefined,
  { token, attest, clock }: KeepCertificate,
  csr: string,
): Promise<readonly { readonly authorization: string }[]> {
  if (attest !== undefined) return [{ authorization: await attest.prove(csr) }]
  const isGood = token !== undefined && (own === undefined || readIfGood(token, clock) !== undefined)
  return [
    ...(isGood ? [{ authorization: `Bearer ${token.trim()}` }] : []),
    ...(own === undefined ? [] : [{ authorization: `weft-rejoin ${await makeRejoin(own, csr, clock.now())}` }]),
  ]
}

/** Why a server is not the control plane of the mesh. */
export const expectControl =
  (trustDomain: string) =>
  (leaf: Uint8Array): string | undefined => {
    const judged = readIdentity(readCertificate(leaf), { trustDomain, ids: [controlId(trustDomain)], role: 'server' })
    return 'refused' in judged ? judged.refused : undefined
  }

/** Whether the kept certificate is what the token, or the caller, means: the same workload in the same mesh. An old token says it as well as a new one. */
function fits(kept: OwnCertificate, { token, identity }: KeepCertificate): boolean {
  if (identity !== undefined && kept.identity !== identity) return false
  if (token === undefined) return true
  const said = readToken(token, 0)
  return said.identity === kept.identity && kept.roots.some(root => rootSha256(root) === said.rootSha256)
}

function readIfGood(token: string, clock: Clock): JoinToken | undefined {
  try {
    return readToken(token, clock.now())
  } catch {
    return undefined
  }
}

function whyNone(kept: OwnCertificate | undefined, { folder, identity, clock }: KeepCertificate): string {
  const make = 'make a join token with: weft token create'
  if (!kept) return `there is no join token and ${folder} keeps no certificate; ${make}`
  if (identity !== undefined && kept.identity !== identity)
    return `there is no join token, and the certificate kept in ${folder} is that of ${kept.identity}, not of ${identity}; ${make}`
  return `there is no join token, and the certificate kept in ${folder} expired at ${new Date(Math.min(kept.notAfter, clock.now())).toISOString()}; ${make}`
}

/** Refusals that waiting does not mend: a bad token, a bad request, an impostor. */
function isFinal(thrown: unknown): boolean {
  if (thrown instanceof NoCertificate) return true
  return (
    thrown instanceof RpcError &&
    [rpcCodes.unauthenticated, rpcCodes.permissionDenied, rpcCodes.invalidArgument].some(code => code === thrown.code)
  )
}
