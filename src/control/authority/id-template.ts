/** The template of the mesh's ids: said when the mesh is made, kept with its keys, the same ever after. */

import { defaultIdTemplate, whyNotIdTemplate } from '#base/id-template'
import { readTextIfAny, writeAtomic } from '#io/files'
import { broken } from './kept.ts'

const file = 'spiffe-id-template'
/** Where one of these is there is a mesh. */
const marks = ['root.pem', 'roots.json', 'tokens.pem']

/** wanted: absent: as it was. Rejects with one sentence where the mesh has another. */
export async function openIdTemplate(folder: string, wanted: string | undefined): Promise<string> {
  const path = `${folder}/${file}`
  const why = wanted === undefined ? undefined : whyNotIdTemplate(wanted)
  if (why !== undefined) throw new Error(`"${wanted}" cannot be the template of SPIFFE ids: ${why}`)
  const text = (await readTextIfAny(path))?.trim()
  const unreadable = text === undefined ? undefined : whyNotIdTemplate(text)
  if (unreadable !== undefined) throw broken(path, `"${text}" is no template of SPIFFE ids: ${unreadable}`)
  const found = await Promise.all(marks.map(mark => readTextIfAny(`${folder}/${mark}`)))
  if (found.every(each => each === undefined)) {
    if (wanted !== undefined) await writeAtomic(path, `${wanted}\n`, { mode: 0o600 })
    return wanted ?? text ?? defaultIdTemplate
  }
  const kept = text ?? defaultIdTemplate
  if (wanted === undefined || wanted === kept) return kept
  throw new Error(
    `the SPIFFE ids of this mesh have the form ${kept} since it was made, and cannot get ${wanted}: certificates, policies and revocations name who they are by it. Start with --spiffe-id-template '${kept}' or without it, or make a new mesh with another folder (--data), which every workload must then join`,
  )
}
