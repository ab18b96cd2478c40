/** The server's tables as headings and cells to print. */

import type { Table } from '#api/client'
import { judgeStyle, type Heading } from '../table.ts'

/** wide: columns of lower priority too. namespaces: with the namespace in front. prefix: before each name, `httproute/`. */
export type RowOptions = { readonly wide: boolean; readonly namespaces: boolean; readonly prefix?: string | undefined }

const shownColumns = ({ columnDefinitions }: Table, wide: boolean): readonly number[] =>
  columnDefinitions.flatMap(({ priority }, at) => (wide || priority === 0 ? [at] : []))

export function headingsOf(table: Table, { wide, namespaces }: RowOptions): readonly Heading[] {
  const columns = shownColumns(table, wide).map((at): Heading => {
    const { name, type } = table.columnDefinitions[at]!
    return { name, right: type === 'integer' || type === 'number', style: judgeStyle }
  })
  return namespaces ? [{ name: 'Namespace' }, ...columns] : columns
}

export function rowsOf(table: Table, { wide, namespaces, prefix }: RowOptions): readonly (readonly string[])[] {
  const columns = shownColumns(table, wide)
  return table.rows.map(({ cells, object }) => {
    const texts = columns.map(at => `${at === 0 && prefix !== undefined ? `${prefix}/` : ''}${String(cells[at] ?? '')}`)
    return namespaces ? [object.metadata.namespace ?? '', ...texts] : texts
  })
}

/** Tables of one kind as one. */
export const mergeTables = (tables: readonly Table[]): Table => ({ ...tables[0]!, rows: tables.flatMap(({ rows }) => rows) })
