/** One resource, or a new one: its text to edit, checked as one types, compared before it is applied, followed until every proxy has it. */

import { Alert, Button, Group, Loader, Modal, Select } from '@mantine/core'
import { IconCircleCheck, IconAlertTriangle, IconFileOff, IconTrash } from '@tabler/icons-react'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useParams, useRouter, useSearch } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useEffect, useState } from 'react'
import { ApiError } from '../api/queries.ts'
import type { Kind, Resource } from '../api/resources.ts'
import { deleteObject, isConflict, kindsQuery, objectQuery, pathOfKind, pathOfObject, readObject, revisionOf } from '../api/resources.ts'
import { Converging } from '../shared/converging.tsx'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { Page } from '../shared/page.tsx'
import { Conditions } from './conditions.tsx'
import { Diff } from './diff.tsx'
import { toText } from './document.ts'
import type { Draft } from './draft.ts'
import { useDraft, write } from './draft.ts'
import { Editor } from './editor.tsx'
import css from './page.module.css'
import { KindLink } from './page.tsx'
import { templatesFor } from './templates.ts'

function useKind(): { readonly kind: Kind | undefined; readonly waiting: ReactNode } {
  const { group, version, plural } = useParams({ strict: false })
  const kinds = useQuery(kindsQuery)
  const kind = kinds.data?.find(kind => (kind.group || 'core') === group && kind.version === version && kind.plural === plural)
  if (kind) return { kind, waiting: null }
  if (kinds.error && !kinds.data) return { kind, waiting: <Refused error={kinds.error} retry={() => void kinds.refetch()} /> }
  return {
    kind,
    waiting: kinds.data ? <Empty icon={<IconFileOff />} title={`There is no kind ${plural} in ${group}/${version}`} /> : <Loading />,
  }
}

export function ResourcePage(): ReactNode {
  const { kind, waiting } = useKind()
  const { namespace: named, name } = useParams({ from: '/resources/$group/$version/$plural/$namespace/$name' })
  const namespace = named === '_' ? undefined : named
  const object = useQuery(objectQuery(kind, namespace, name))
  if (!kind) return waiting
  if (object.error instanceof ApiError && object.error.code === 404)
    return (
      <Empty icon={<IconFileOff size={36} stroke={1.2} />} title={`${kind.kind} ${name} does not exist`}>
        It was deleted, or never was. <KindLink kind={kind} />
      </Empty>
    )
  if (!object.data) return object.error ? <Refused error={object.error} retry={() => void object.refetch()} /> : <Loading />
  return (
    <Existing key={`${namespace}/${name}`} kind={kind} live={{ ...object.data, apiVersion: object.data.apiVersion, kind: kind.kind }} />
  )
}

function Existing({ kind, live }: { kind: Kind; live: Resource }): ReactNode {
  // The text belongs to the version it was made from; a newer one replaces it only while nothing was typed.
  const [base, setBase] = useState(live)
  const [text, setText] = useState(() => toText(live))
  const isChanged = text !== toText(base)
  const isBehind = base.metadata.resourceVersion !== live.metadata.resourceVersion
  useEffect(() => {
    if (isChanged || !isBehind) return
    setBase(live)
    setText(toText(live))
  }, [live, isChanged, isBehind])
  const client = useQueryClient()
  const draft = useDraft(kind, text, base)
  const [isComparing, setComparing] = useState(false)
  const apply = useMutation({
    mutationFn: (resource: Resource) => write(kind, resource, base, false),
    onSuccess: saved => {
      const whole = { ...saved, kind: kind.kind }
      client.setQueryData(objectQuery(kind, saved.metadata.namespace, saved.metadata.name).queryKey, whole)
      setBase(whole)
      setText(toText(whole))
      setComparing(false)
    },
    onError: thrown => isConflict(thrown) && setComparing(false),
  })
  const compare = (): void => {
    if (isChanged && draft.verdict === 'valid') setComparing(true)
  }
  const takeTheirs = async (keepMine: boolean): Promise<void> => {
    const newest = await readObject(kind, live.metadata.namespace, live.metadata.name)
    const whole = { ...newest, kind: kind.kind }
    setBase(whole)
    // Mine goes on top of theirs: same text; the comparison then shows what of theirs it would undo.
    if (!keepMine) setText(toText(whole))
    apply.reset()
  }
  return (
    <Page
      name={live.metadata.name}
      before={<KindLink kind={kind} />}
      title={
        <>
          {live.metadata.name} {live.metadata.namespace && <span className={css['where']}>{live.metadata.namespace}</span>}
        </>
      }
      aside={
        <>
          <DeleteButton kind={kind} live={live} />
          <Button size="xs" variant="default" disabled={!isChanged} onClick={() => setText(toText(base))}>
            Undo edits
          </Button>
          <Button size="xs" disabled={!isChanged || draft.verdict !== 'valid'} onClick={compare} data-testid="compare">
            Compare and apply
          </Button>
        </>
      }
    >
      {(isConflict(apply.error) || (isBehind && isChanged)) && (
        <Alert
          color="orange"
          variant="light"
          mb="md"
          icon={<IconAlertTriangle />}
          title="Somebody changed this resource while you were editing"
          data-testid="conflict"
        >
          <Group gap="xs" mt={4}>
            <Button size="xs" variant="default" onClick={() => void takeTheirs(true)}>
              Keep my text, compare with theirs
            </Button>
            <Button size="xs" variant="default" onClick={() => void takeTheirs(false)}>
              Drop mine, show theirs
            </Button>
          </Group>
        </Alert>
      )}
      <div className={css['two']}>
        <div>
          <div className={css['state']}>
            {isChanged ? (
              <Verdict draft={draft} />
            ) : apply.data ? (
              <Converging revision={revisionOf(apply.data)} />
            ) : (
              <span className="soft">No unsaved edits. Ctrl+S compares and applies.</span>
            )}
          </div>
          <Editor
            text={text}
            change={setText}
            marks={isChanged ? draft.marks : []}
            label={`${kind.kind} ${live.metadata.name} as YAML`}
            save={compare}
          />
          {isChanged && <Problems draft={draft} />}
          {apply.error && !isConflict(apply.error) && <ApplyError error={apply.error} />}
        </div>
        <aside className={css['side']}>
          <div>
            <h2>Conditions</h2>
            <Conditions resource={live} />
          </div>
          <div className="soft">
            revision {live.metadata.resourceVersion}
            {live.metadata.generation !== undefined && `, generation ${live.metadata.generation}`}
            {live.metadata.creationTimestamp && `, made ${new Date(live.metadata.creationTimestamp).toLocaleString()}`}
          </div>
        </aside>
      </div>
      <Modal opened={isComparing} onClose={() => setComparing(false)} size="xl" title={`Apply to ${live.metadata.name}?`}>
        <Diff before={toText(base)} after={text} />
        {apply.error && <ApplyError error={apply.error} />}
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={() => setComparing(false)}>
            Not yet
          </Button>
          <Button
            loading={apply.isPending}
            onClick={() => draft.resource && apply.mutate(draft.resource)}
            data-autofocus
            data-testid="apply"
          >
            Apply
          </Button>
        </Group>
      </Modal>
    </Page>
  )
}

export function NewResourcePage(): ReactNode {
  const { kind, waiting } = useKind()
  return kind ? <Fresh key={kind.plural} kind={kind} /> : waiting
}

function Fresh({ kind }: { kind: Kind }): ReactNode {
  const { template: wanted, service = 'my-service.default' } = useSearch({ from: '/resources/$group/$version/$plural/new' })
  const templates = templatesFor(kind)
  const [name, namespace] = [service.split('.')[0] ?? 'my-service', service.split('.').slice(1).join('.') || 'default']
  const [chosen, setChosen] = useState(() => templates.find(template => template.id === wanted) ?? templates[0]!)
  const [text, setText] = useState(() => chosen.text(name, namespace))
  const draft = useDraft(kind, text, undefined)
  const client = useQueryClient()
  const router = useRouter()
  const create = useMutation({
    mutationFn: (resource: Resource) => write(kind, resource, undefined, false),
    onSuccess: saved => {
      void client.invalidateQueries({ queryKey: ['list', kind.group, kind.version, kind.plural] })
      router.history.push(pathOfObject(kind, saved))
    },
  })
  const save = (): void => {
    if (draft.resource && draft.verdict === 'valid') create.mutate(draft.resource)
  }
  return (
    <Page
      name={`New ${kind.kind}`}
      before={<KindLink kind={kind} />}
      title={`New ${kind.kind}`}
      aside={
        <>
          {templates.length > 1 && (
            <Select
              size="xs"
              w={320}
              aria-label="Template"
              allowDeselect={false}
              data={templates.map(({ id, name }) => ({ value: id, label: name }))}
              value={chosen.id}
              onChange={id => {
                const next = templates.find(template => template.id === id)
                if (!next) return
                setChosen(next)
                setText(next.text(name, namespace))
              }}
            />
          )}
          <Button size="xs" disabled={draft.verdict !== 'valid'} loading={create.isPending} onClick={save} data-testid="apply">
            Create
          </Button>
        </>
      }
    >
      <div className={css['state']}>
        <Verdict draft={draft} />
      </div>
      <Editor text={text} change={setText} marks={draft.marks} label={`New ${kind.kind} as YAML`} save={save} />
      <Problems draft={draft} />
      {create.error && <ApplyError error={create.error} />}
    </Page>
  )
}

function Verdict({ draft }: { draft: Draft }): ReactNode {
  if (draft.verdict === 'checking') {
    return (
      <>
        <Loader size={14} /> <span className="soft">Asking the control plane whether this would be accepted…</span>
      </>
    )
  }
  if (draft.verdict === 'valid') {
    return (
      <span data-testid="valid">
        <IconCircleCheck size={16} className="ok" style={{ verticalAlign: -3 }} /> The control plane would accept this.
      </span>
    )
  }
  return (
    <span className={draft.verdict === 'invalid' ? 'bad' : 'warn'} data-testid="invalid">
      <IconAlertTriangle size={16} style={{ verticalAlign: -3 }} />{' '}
      {draft.marks.length > 1
        ? `${draft.marks.length} problems`
        : draft.verdict === 'unknown'
          ? 'This could not be checked'
          : 'This would be refused'}
    </span>
  )
}

/** The same sentences as in the gutter, for those who do not see gutters. */
const Problems = ({ draft }: { draft: Draft }): ReactNode =>
  draft.verdict === 'valid' || draft.verdict === 'checking' ? null : (
    <ul className={css['problems']} data-testid="problems" aria-live="polite">
      {draft.marks.length > 0 ? (
        draft.marks.map(mark => (
          <li key={`${mark.from} ${mark.says}`}>
            <b>line {mark.line}</b> {mark.path && <span className="mono">{mark.path}: </span>}
            {mark.says}
          </li>
        ))
      ) : (
        <li>{draft.says}</li>
      )}
    </ul>
  )

const ApplyError = ({ error }: { error: Error }): ReactNode => (
  <Alert color="red" variant="light" mt="md" title="It was not applied" data-testid="apply-error">
    {error.message}
  </Alert>
)

function DeleteButton({ kind, live }: { kind: Kind; live: Resource }): ReactNode {
  const [isAsking, setAsking] = useState(false)
  const client = useQueryClient()
  const router = useRouter()
  const remove = useMutation({
    mutationFn: () => deleteObject(kind, live.metadata.namespace, live.metadata.name),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ['list', kind.group, kind.version, kind.plural] })
      router.history.push(pathOfKind(kind))
    },
  })
  return (
    <>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        leftSection={<IconTrash size={15} />}
        onClick={() => setAsking(true)}
        data-testid="delete"
      >
        Delete
      </Button>
      <Modal opened={isAsking} onClose={() => setAsking(false)} title={`Delete ${kind.kind} ${live.metadata.name}?`}>
        <p style={{ marginTop: 0 }}>
          It is gone from every proxy within a second. What it did to traffic ends with it. There is no undo; copy its text first if you may
          want it back.
        </p>
        {remove.error && <ApplyError error={remove.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={() => setAsking(false)} data-autofocus>
            Keep it
          </Button>
          <Button color="red" loading={remove.isPending} onClick={() => remove.mutate()} data-testid="confirm-delete">
            Delete {live.metadata.name}
          </Button>
        </Group>
      </Modal>
    </>
  )
}
