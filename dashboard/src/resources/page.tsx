/** Browsing resources: kinds by API group on the left, the objects of one kind as `kubectl get` would list them. */

import { Button, Menu } from '@mantine/core'
import { IconFileCode, IconPlus } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link, useParams, useRouter } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useWhyNone } from '../api/login.ts'
import type { Kind, Listed } from '../api/resources.ts'
import { kindsQuery, listQuery, pathOfKind, pathOfObject } from '../api/resources.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { span } from '../shared/format.ts'
import { HashLink } from '../shared/hash-link.tsx'
import { useNamespace } from '../shared/namespace.ts'
import { NamespaceSelect } from '../shared/namespace-select.tsx'
import { Page } from '../shared/page.tsx'
import type { Column } from '../shared/table.tsx'
import { Table } from '../shared/table.tsx'
import css from './page.module.css'
import { templatesFor } from './templates.ts'

export function ResourcesPage(): ReactNode {
  const kinds = useQuery(kindsQuery)
  const { group, version, plural } = useParams({ strict: false })
  if (!kinds.data) return kinds.error ? <Refused error={kinds.error} retry={() => void kinds.refetch()} /> : <Loading />
  const groups = Map.groupBy([...kinds.data].sort(byInterest), kind => kind.group)
  const first = groups.values().next().value?.[0]
  const kind =
    kinds.data.find(kind => (kind.group || 'core') === group && kind.version === version && kind.plural === plural) ??
    (plural === undefined ? first : undefined)
  return (
    <div className={css['browser']}>
      <nav className={css['kinds']} aria-label="Kinds">
        {[...groups].map(([name, members]) => (
          <div key={name}>
            <h2>{name || 'core'}</h2>
            {members.map(member => (
              <HashLink
                key={member.plural}
                to={pathOfKind(member)}
                className={`${css['kind']} ${member === kind ? css['chosen'] : ''}`}
                testid={`kind-${member.plural}`}
              >
                {member.kind}
              </HashLink>
            ))}
          </div>
        ))}
      </nav>
      <div className={css['objects']}>
        {kind ? <Objects key={pathOfKind(kind)} kind={kind} /> : <Empty icon={<IconFileCode />} title="There is no such kind" />}
      </div>
    </div>
  )
}

/** Routing first, then Weft's own policies, then the rest. */
const rank = (kind: Kind): number =>
  kind.group === 'gateway.networking.k8s.io' ? 0 : kind.group.endsWith('weft.dev') ? 1 : kind.group === '' ? 2 : 3
const byInterest = (a: Kind, b: Kind): number =>
  rank(a) - rank(b) ||
  a.group.localeCompare(b.group) ||
  Number(b.kind === 'HTTPRoute') - Number(a.kind === 'HTTPRoute') ||
  a.kind.localeCompare(b.kind)

type Row = {
  readonly key: string
  readonly namespace: string
  readonly name: string
  readonly cells: readonly unknown[]
  readonly path: string
}

const rowsOf = (listed: Listed, namespace: string | null): readonly Row[] =>
  listed.items
    .map((item, index) => ({
      key: `${item.metadata.namespace ?? ''}/${item.metadata.name}`,
      namespace: item.metadata.namespace ?? '',
      name: item.metadata.name,
      cells: listed.rows[index] ?? [],
      path: pathOfObject(listed.kind, item),
    }))
    .filter(row => namespace === null || row.namespace === '' || row.namespace === namespace)

function columnsOf(listed: Listed): readonly Column<Row>[] {
  const place: Column<Row>[] = listed.kind.namespaced
    ? [{ id: 'namespace', name: 'Namespace', value: row => row.namespace, show: row => <span className="soft">{row.namespace}</span> }]
    : []
  const others = listed.columns
    .map((column, index) => ({ ...column, index }))
    .filter(column => column.priority === 0 && column.name.toLowerCase() !== 'name')
  return [
    { id: 'name', name: 'Name', value: row => row.name, show: row => <HashLink to={row.path}>{row.name}</HashLink> },
    ...place,
    ...others.map(({ name, type, index }) => ({
      id: `cell ${index}`,
      name,
      end: type === 'integer' || type === 'number',
      value: (row: Row) => cell(row.cells[index]),
      show: (row: Row) => tell(row.cells[index], type),
    })),
  ]
}

const cell = (value: unknown): string | number =>
  typeof value === 'number' ? value : value === undefined || value === null ? '' : String(value)
/** Dates come as RFC 3339 or already as an age such as `3m`. */
const tell = (value: unknown, type: string): ReactNode => {
  if (type === 'date' && typeof value === 'string' && /^\d{4}-/.test(value)) return span(Date.now() - Date.parse(value))
  if (value === 'True' || value === true) return <span className="ok">True</span>
  if (value === 'False' || value === false) return <span className="bad">False</span>
  return cell(value)
}

function Objects({ kind }: { kind: Kind }): ReactNode {
  const listed = useQuery(listQuery(kind))
  const [namespace] = useNamespace()
  if (!listed.data) return listed.error ? <Refused error={listed.error} retry={() => void listed.refetch()} /> : <Loading />
  const namespaces = listed.data.items.flatMap(item => item.metadata.namespace ?? [])
  return (
    <Page
      name={kind.kind}
      title={kind.kind}
      before={kind.group ? `${kind.group}/${kind.version}` : kind.version}
      aside={<CreateMenu kind={kind} />}
    >
      <Table
        testid="objects"
        rows={rowsOf(listed.data, kind.namespaced ? namespace : null)}
        columns={columnsOf(listed.data)}
        keyOf={row => row.key}
        sortBy={{ id: 'name', desc: false }}
        searchFor={`Search ${kind.plural}`}
        tools={kind.namespaced && <NamespaceSelect of={namespaces} />}
        none={
          <Empty
            icon={<IconFileCode size={36} stroke={1.2} />}
            title={`No ${kind.kind} ${kind.namespaced && namespace ? `in ${namespace}` : 'yet'}`}
          >
            Make one here from a template, or apply a file: weft apply -f FILE
          </Empty>
        }
      />
    </Page>
  )
}

function CreateMenu({ kind }: { kind: Kind }): ReactNode {
  const router = useRouter()
  const templates = templatesFor(kind)
  const whyNot = useWhyNone(kind)
  const refused = { disabled: whyNot !== undefined, title: whyNot }
  const open = (id: string): void => router.history.push(`${pathOfKind(kind)}/new?template=${id}`)
  if (templates.length === 1) {
    return (
      <Button size="xs" leftSection={<IconPlus size={15} />} onClick={() => open(templates[0]!.id)} {...refused} data-testid="create">
        New {kind.kind}
      </Button>
    )
  }
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button size="xs" leftSection={<IconPlus size={15} />} {...refused} data-testid="create">
          New {kind.kind}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {templates.map(template => (
          <Menu.Item key={template.id} onClick={() => open(template.id)} data-testid={`template-${template.id}`}>
            {template.name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}

export const KindLink = ({ kind }: { kind: Kind }): ReactNode => (
  <>
    <Link to="/resources">Resources</Link> / <HashLink to={pathOfKind(kind)}>{kind.kind}</HashLink>
  </>
)
