/** From what the operator's file says to what signs. */

import type { AuthoritySettings } from '#resources/authority-file'
import { commandAuthority } from './command.ts'
import { openFiles } from './files.ts'
import { type ForeignPlace, openForeign } from './foreign.ts'
import { vaultAuthority } from './hashicorp-vault.ts'
import { readText } from '#io/files'
import { openForeignLists } from './foreign-lists.ts'
import type { Issuer } from './issuer.ts'
import { kubernetesAuthority } from './kubernetes.ts'
import { stepAuthority } from './step-ca.ts'
import { openWorkloadApi } from './workload-api.ts'

export type OpenIssuer = ForeignPlace & {
  readonly passphrase?: string | undefined
  /** Of the environment. */
  readonly variables: Readonly<Record<string, string | undefined>>
}

/** Rejects with one sentence when it cannot be used now. */
export async function openIssuer(settings: AuthoritySettings, place: OpenIssuer): Promise<Issuer> {
  const issuer = await opened(settings, place)
  if (!('crl' in settings) || settings.crl === undefined) return issuer
  try {
    const ca = 'caFile' in settings && settings.caFile !== undefined ? await readText(settings.caFile) : undefined
    const { lists, close } = await openForeignLists({ source: settings.crl, ca }, issuer, place)
    return {
      ...issuer,
      lists,
      close: () => {
        close()
        issuer.close()
      },
    }
  } catch (thrown) {
    issuer.close()
    throw thrown
  }
}

function opened(settings: AuthoritySettings, place: OpenIssuer): Promise<Issuer> {
  switch (settings.type) {
    case 'Files':
      return openFiles(settings, place)
    case 'Vault':
      return openForeign(vaultAuthority(settings, place.variables), place)
    case 'StepCA':
      return openForeign(stepAuthority(settings), place)
    case 'Command':
      return openForeign(commandAuthority(settings), place)
    case 'Kubernetes':
      return openForeign(kubernetesAuthority(settings), place)
    case 'WorkloadAPI':
      return openWorkloadApi(settings, place)
  }
}
