/** What a data plane proves itself with in mutual TLS: the newest certificate, and contexts of it for calls out, by profile. */

import { type SecureContext, secureContext, type TlsMaterial } from '#io/net'
import { meshTermsOf, type TlsProfile } from '#model/tls'

export class Credentials {
  #material: TlsMaterial | undefined
  readonly #contexts = new Map<TlsProfile, SecureContext>()

  /** Undefined: there is none yet. */
  get material(): TlsMaterial | undefined {
    return this.#material
  }

  present(material: TlsMaterial): void {
    this.#material = material
  }

  /** What is kept was made with another certificate, or agreed on otherwise than the mesh wants it now. */
  forget(): void {
    this.#contexts.clear()
  }

  /** Made when it is first needed: it takes 50 KB, and many a workload of a node calls nobody. */
  context(profile: TlsProfile = 'modern'): SecureContext | undefined {
    const known = this.#contexts.get(profile)
    if (known !== undefined || this.#material === undefined) return known
    const made = secureContext(this.#material, meshTermsOf[profile])
    this.#contexts.set(profile, made)
    return made
  }
}
