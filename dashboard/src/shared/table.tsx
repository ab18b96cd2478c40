/** A table with sorting and one search box; rows are links, so that they open with the keyboard and in a new tab. */

import { TextInput } from '@mantine/core'
import { IconArrowDown, IconArrowUp, IconSearch } from '@tabler/icons-react'
import type { ColumnDef, RowData } from '@tanstack/react-table'
import {
  columnFilteringFeature,
  createFilteredRowModel,
  createSortedRowModel,
  filterFn_includesString,
  globalFilteringFeature,
  rowSortingFeature,
  sortFn_alphanumeric,
  sortFn_basic,
  tableFeatures,
  useTable,
} from '@tanstack/react-table'
import type { ReactNode } from 'react'
import { useState } from 'react'
import css from './table.module.css'

const features = tableFeatures({
  columnFilteringFeature,
  globalFilteringFeature,
  rowSortingFeature,
  filteredRowModel: createFilteredRowModel(),
  sortedRowModel: createSortedRowModel(),
  filterFns: { includesString: filterFn_includesString },
  sortFns: { basic: sortFn_basic, alphanumeric: sortFn_alphanumeric },
})

/** value: what is sorted and searched by; show: what is seen. end: numbers stand right. */
export type Column<Row> = {
  readonly id: string
  readonly name: string
  readonly value: (row: Row) => string | number
  readonly show?: (row: Row) => ReactNode
  readonly end?: boolean
  readonly hint?: string
}

type Props<Row> = {
  readonly rows: readonly Row[]
  readonly columns: readonly Column<Row>[]
  readonly keyOf: (row: Row) => string
  readonly testid: string
  readonly sortBy?: { readonly id: string; readonly desc: boolean }
  readonly searchFor?: string
  readonly tools?: ReactNode
  readonly none?: ReactNode
}

export function Table<Row extends RowData>({ rows, columns, keyOf, testid, sortBy, searchFor, tools, none }: Props<Row>): ReactNode {
  const [wanted, setWanted] = useState('')
  const [sorting, setSorting] = useState(sortBy ? [{ ...sortBy }] : [])
  const first = rows[0]
  const defs: ColumnDef<typeof features, Row>[] = columns.map(column => ({
    id: column.id,
    header: column.name,
    accessorFn: column.value,
    sortFn: first !== undefined && typeof column.value(first) === 'number' ? ('basic' as const) : ('alphanumeric' as const),
  }))
  const table = useTable({
    features,
    columns: rows.length > 0 ? defs : [],
    data: rows as Row[],
    getRowId: keyOf,
    state: { sorting, globalFilter: wanted },
    onSortingChange: setSorting,
    onGlobalFilterChange: setWanted,
    globalFilterFn: 'includesString',
  })
  const shown = table.getRowModel().rows
  return (
    <div>
      {(searchFor || tools) && (
        <div className={css['tools']}>
          {searchFor && (
            <TextInput
              size="xs"
              w={240}
              leftSection={<IconSearch size={14} />}
              placeholder={searchFor}
              aria-label={searchFor}
              value={wanted}
              onChange={event => setWanted(event.currentTarget.value)}
            />
          )}
          {tools}
        </div>
      )}
      {rows.length === 0 ? (
        none
      ) : (
        <div className={css['scroll']}>
          <table className={css['table']} data-testid={testid}>
            <thead>
              <tr>
                {columns.map(column => {
                  const sorted = sorting.find(by => by.id === column.id)
                  return (
                    <th
                      key={column.id}
                      scope="col"
                      data-end={column.end ?? false}
                      aria-sort={sorted ? (sorted.desc ? 'descending' : 'ascending') : 'none'}
                      title={column.hint}
                    >
                      <button
                        type="button"
                        onClick={() => setSorting([{ id: column.id, desc: sorted ? !sorted.desc : (column.end ?? false) }])}
                      >
                        {column.name}
                        {sorted && (sorted.desc ? <IconArrowDown size={12} /> : <IconArrowUp size={12} />)}
                      </button>
                    </th>
                  )
                })}
              </tr>
            </thead>
            <tbody>
              {shown.map(row => (
                <tr key={row.id} data-testid={`${testid}-row`} data-key={row.id}>
                  {columns.map(column => (
                    <td key={column.id} data-end={column.end ?? false}>
                      {column.show ? column.show(row.original) : column.value(row.original)}
                    </td>
                  ))}
                </tr>
              ))}
              {shown.length === 0 && (
                <tr>
                  <td colSpan={columns.length} className="soft">
                    Nothing matches “{wanted}”.
                  </td>
                </tr>
              )}
            </tbody>
          </table>
        </div>
      )}
    </div>
  )
}
