/**
 * Who sends a request to the operator API, by the first proof that it brings:
 *
 *   Authorization: Bearer ──▶ a token of ours, or one of the OpenID provider
 *   cookie                ──▶ a session of the dashboard
 *   client certificate    ──▶ its SPIFFE id, or its subject
 *   none                  ──▶ anybody, where no login is required; else 401
 *
 * A proof that does not hold is refused, also where none is required: who means to be somebody must not become more than that.
 */

import { readCertificate, type Certificate } from '#identity/certificate'
import { TokenRefused } from '#identity/jwt'
import { LoginRefused } from '#identity/openid'
import { hashOf } from '#identity/secret-text'
import type { SignIn } from '#identity/sign-in'
import { readIdentity } from '#identity/verify'
import type { HttpRequest } from '#io/http-server'
import type { OperatorsSettings } from '#resources/operators-file'
import { Refusal } from '../api/refusal.ts'
import { anybody, type Principal } from './principal.ts'
import { cookieOf, type Proof, sessionCookie, type Sessions } from './sessions.ts'
import { tokenPrefix, type Users } from './users.ts'

export type IdentifyOptions = {
  readonly isRequired: boolean
  readonly users: Users
  readonly sessions: Sessions<Principal>
  readonly settings: () => OperatorsSettings
  /** Aborted when the settings are others: what was begun by them is judged anew. */
  readonly settled: () => AbortSignal
  readonly signIn: () => SignIn | undefined
  /** Whose certificate of the mesh this is, or why it is nobody's. */
  readonly identifyMember: (chain: readonly Uint8Array[]) => { readonly peer: string } | { readonly refused: string }
  readonly now: () => number
}

export class Identify {
  readonly #options: IdentifyOptions
  constructor(options: IdentifyOptions) {
    this.#options = options
  }

  /** Throws a Refusal: 401, or 503 where the provider must be asked and does not answer. */
  async of(request: HttpRequest): Promise<Principal> {
    const { isRequired } = this.#options
    const authorization = request.headers['authorization']
    if (authorization !== undefined) return this.#ofAuthorization(authorization)
    const cookie = cookieOf(request, sessionCookie(request.isSecure))
    const session = cookie === undefined ? undefined : this.#options.sessions.find(cookie)
    if (session) return { ...session.who, until: Math.min(session.until, session.who.until ?? Number.POSITIVE_INFINITY) }
    const certified = this.#ofCertificate(request)
    if (certified) return certified
    if (!isRequired) return anybody
    throw unauthorized(
      'this control plane requires login: send a token as "Authorization: Bearer …" (weft: --token, WEFT_TOKEN or WEFT_TOKEN_FILE), or a client certificate; an admin makes tokens with: weft user create',
    )
  }

  #ofAuthorization(header: string): Promise<Principal> | Principal {
    const [, token] = /^bearer +([\w.~+/=-]+) *$/i.exec(header) ?? []
    if (token === undefined) throw unauthorized('the Authorization header must be: Bearer TOKEN')
    return this.ofToken(token)
  }

  /** Throws a Refusal. */
  ofToken(token: string): Promise<Principal> | Principal {
    if (token.startsWith(tokenPrefix)) {
      const user = this.#options.users.find(token)
      if (user) return user
      throw unauthorized('the token is not known here, has expired or was revoked: ask an admin for another (weft user create)')
    }
    const signIn = this.#options.signIn()
    if (signIn === undefined)
      throw unauthorized('the token is none of this control plane, and it has no OpenID provider whose tokens it could take')
    return this.#ofProvider(signIn, token)
  }

  async #ofProvider(signIn: SignIn, token: string): Promise<Principal> {
    try {
      const { claims, until } = await signIn.verify(token)
      return this.ofClaims(claims, until)
    } catch (thrown) {
      if (thrown instanceof TokenRefused) throw unauthorized(`the token is not taken: ${thrown.message}`)
      if (thrown instanceof LoginRefused) throw new Refusal(503, 'ServiceUnavailable', thrown.message, { retryAfterSeconds: 10 })
      throw thrown
    }
  }

  /** claims: verified. Throws a Refusal where they name nobody. */
  ofClaims(claims: Readonly<Record<string, unknown>>, until: number): Principal {
    const { oidc } = this.#options.settings()
    const name = claims[oidc!.userClaim]
    if (typeof name !== 'string' || name === '') throw unauthorized(`the token says no ${oidc!.userClaim}, by which users are known here`)
    if (oidc!.userClaim === 'email' && claims['email_verified'] === false)
      throw unauthorized('the token says an email that its provider has not verified')
    const said = claims[oidc!.groupsClaim]
    const groups = (Array.isArray(said) ? (said as unknown[]) : [said]).filter(each => typeof each === 'string')
    return { ...this.named('oidc', name, groups), until }
  }

  /** What a session is to remember of whoever has just proved to be this, by this token where it was one of ours. */
  proofOf({ how, name, groups }: Principal, token: string | undefined): Proof {
    return how === 'token' && token !== undefined ? { how, hash: hashOf(token) } : { how: 'oidc', provider: this.#provider(), name, groups }
  }

  /** Who that is now; undefined: a user who is gone, whom no role is left, or whom another provider named. */
  remembered(proof: Proof): Principal | undefined {
    if (proof.how === 'token') return this.#options.users.findByHash(proof.hash)
    if (proof.provider !== this.#provider()) return undefined
    const principal = this.named('oidc', proof.name, proof.groups)
    return principal.grants.length === 0 ? undefined : principal
  }

  /** The same name by another claim may be somebody else. */
  #provider(): string {
    const { oidc } = this.#options.settings()
    return oidc === undefined ? '' : JSON.stringify([oidc.issuer, oidc.clientId, oidc.userClaim, oidc.groupsClaim])
  }

  /** Of whoever is called so, by whatever they would prove it. */
  grantsOf(name: string, groups: readonly string[]): Principal['grants'] {
    const byToken = this.#options.users.named(name)?.grants ?? []
    return [...byToken, ...this.named('oidc', name, groups).grants, ...this.named('certificate', name, groups).grants]
  }

  /** With the roles that the settings give. */
  named(how: 'oidc' | 'certificate', name: string, groups: readonly string[]): Principal {
    const { grants } = this.#options.settings()
    const own = grants.filter(each =>
      how === 'oidc'
        ? each.oidcUser === name || (each.oidcGroup !== undefined && groups.includes(each.oidcGroup))
        : each.certificate === name || (each.certificateGroup !== undefined && groups.includes(each.certificateGroup)),
    )
    return {
      name,
      how,
      groups,
      grants: own.map(({ role, namespaces }) => ({ role, ...(namespaces === undefined ? {} : { namespaces }) })),
      ended: this.#options.settled(),
    }
  }

  #ofCertificate({ peer }: HttpRequest): Principal | undefined {
    const { certificates } = this.#options.settings()
    const [der] = peer?.chain ?? []
    if (certificates === undefined || peer === undefined || der === undefined) return undefined
    const leaf = readCertificate(der)
    const until = leaf.validToDate.getTime()
    if (certificates.caFile === undefined) {
      const judged = this.#options.identifyMember(peer.chain)
      if ('refused' in judged) throw unauthorized(`the client certificate is not taken: ${judged.refused}`)
      return { ...this.named('certificate', judged.peer, []), until }
    }
    if (!peer.isTrusted) throw unauthorized('the client certificate is not signed by a root that is configured here, or has expired')
    if (until <= this.#options.now()) throw unauthorized('the client certificate has expired')
    const { name, groups } = namesOf(leaf)
    return { ...this.named('certificate', name, groups), until }
  }
}

/** Its SPIFFE id, or, as Kubernetes has it, CN for the user and O for groups. Throws a Refusal. */
function namesOf(leaf: Certificate): { readonly name: string; readonly groups: readonly string[] } {
  const proven = readIdentity(leaf, { role: 'client' })
  if ('peer' in proven) return { name: proven.peer, groups: [] }
  if (proven.code !== 'no-id') throw unauthorized(`the client certificate is not taken: ${proven.refused}`)
  const { CN: name, O: groups = [] } = leaf.toLegacyObject().subject as { CN?: string | string[]; O?: string | string[] }
  if (typeof name !== 'string') throw unauthorized('the client certificate names neither a SPIFFE id nor one CN in its subject')
  return { name: `CN=${name}`, groups: typeof groups === 'string' ? [groups] : groups }
}

export const unauthorized = (says: string): Refusal => new Refusal(401, 'Unauthorized', says)
