import { checkTweetText, MAX_WEIGHTED_LENGTH } from '../../tweets/text/length.ts'
import { type Account, request, UnreachableError, type UserError } from './api.ts'
import { leaveForX } from './connect.ts'
import { createCounter } from './counter.ts'
import { forgetKey, keyOf, loadDraft, saveDraft } from './draft.ts'
import { find, onClick, setAvatar, setText } from './elements.ts'
import { clearNotices } from './notices.ts'
import { actionWords, explainAccount, explainError } from './wording.ts'

const UNREACHABLE =
  'The gateway does not respond, so the tweet may or may not have been posted. Post again: it will not be posted twice.'

/** The form for a new tweet. */
export type Composer = {
  /** Restores the draft of this tab. */
  resume(): void
  /** Shows the form for these accounts; hides it when there are none. */
  setAccounts(accounts: readonly Account[]): void
}

/**
 * Sets up the form. `settled` is called when the list has a tweet to show, `error` with errors that
 * belong to no field.
 */
export function createComposer(on: { settled(): Promise<void>; error(error: unknown): void }): Composer {
  const form = find(document, '#composer', HTMLFormElement)
  const author = find(form, '#author', HTMLSelectElement)
  const field = find(form, '#text', HTMLTextAreaElement)
  const button = find(form, '#post', HTMLButtonElement)
  const cure = find(form, '#cure', HTMLButtonElement)
  const problems = {
    text: find(form, '#text-problem', HTMLElement),
    accountId: find(form, '#author-problem', HTMLElement),
    other: find(form, '#composer-problem', HTMLElement),
  }
  const posted = find(form, '#posted', HTMLElement)
  const count = createCounter()
  let draft = loadDraft()
  let accounts: readonly Account[] = []
  const chosen = () => accounts.find(({ id }) => id === author.value)

  function show(): void {
    const account = chosen()
    setAvatar(find(form, '#author-avatar', HTMLElement), account?.username ?? '', account?.avatarUrl ?? null)
    count(field.value, account?.maxTweetLength ?? MAX_WEIGHTED_LENGTH)
    // With an account that cannot post, the button that repairs it replaces the Post button.
    const isAble = account === undefined || canPost(account)
    button.hidden = !isAble
    form.classList.toggle('unable', !isAble)
    setText(cure, isAble ? null : actionWords[account.nextAction ?? 'RECONNECT'])
  }

  // From now on the draft belongs to this account.
  function setAuthor(account: Account): void {
    author.value = account.id
    draft.accountId = account.id
    draft.username = account.username
    saveDraft(draft)
  }

  // The user has to choose: a tweet from the wrong account cannot be undone.
  function clearAuthor(): void {
    const choice = new Option('Choose an account', '')
    choice.disabled = true
    author.prepend(choice)
    author.value = ''
    clearProblems()
    showAuthorProblem()
  }

  function showAuthorProblem(): void {
    const name = draft.username === null ? 'The account of this draft' : `@${draft.username}`
    setText(problems.accountId, `${name} is no longer connected. Choose the account to post from.`)
  }

  function clearProblems(): void {
    posted.textContent = ''
    for (const problem of Object.values(problems)) setText(problem, null)
    for (const input of [field, author]) input.removeAttribute('aria-invalid')
  }

  function showProblem(name: keyof typeof problems, sentence: string): void {
    setText(problems[name], sentence)
    if (name === 'other') return
    const input = name === 'text' ? field : author
    input.setAttribute('aria-invalid', 'true')
    input.focus()
  }

  async function post(): Promise<void> {
    const account = chosen()
    const text = field.value
    clearProblems()
    clearNotices()
    if (account === undefined) {
      showAuthorProblem()
      return author.focus()
    }
    if (!canPost(account)) return showProblem('accountId', explainInability(account))
    const problem = describeProblem(text, account)
    if (problem !== null) return showProblem('text', problem)
    const idempotencyKey = keyOf(draft, account.id, text)
    const { postTweet } = await request('PostTweet', { input: { text, accountId: account.id, idempotencyKey } })
    const { tweet, userErrors } = postTweet
    const isCertain = tweet?.status === 'POSTED' || (tweet?.status === 'FAILED' && !userErrors.some((e) => e.retryable))
    if (isCertain) forgetKey(draft, account.id, text)
    // The user may have edited the text during the request.
    if (tweet?.status === 'POSTED' && field.value === text) {
      field.value = ''
      draft.text = ''
      saveDraft(draft)
      show()
      field.focus()
      posted.textContent = `Posted as @${account.username}`
    }
    for (const error of userErrors) showProblem(findField(error), explainError(error))
    if (tweet !== null) await on.settled().catch(on.error)
  }

  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (button.ariaDisabled === 'true') return
    button.ariaDisabled = 'true'
    button.textContent = 'Posting…'
    try {
      await post()
    } catch (error) {
      if (error instanceof UnreachableError) showProblem('other', UNREACHABLE)
      else on.error(error)
    } finally {
      button.ariaDisabled = null
      button.textContent = 'Post'
    }
  })
  onClick(cure, async () => {
    clearProblems()
    try {
      const sentence = await leaveForX(author.value)
      if (sentence !== null) showProblem('other', sentence)
    } catch (error) {
      on.error(error)
    }
  })
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit()
  })
  field.addEventListener('input', () => {
    draft.text = field.value
    saveDraft(draft)
    clearProblems()
    show()
  })
  author.addEventListener('change', () => {
    const account = chosen()
    if (account !== undefined) setAuthor(account)
    clearProblems()
    show()
  })

  return {
    resume: () => {
      draft = loadDraft()
      field.value = draft.text
    },
    setAccounts: (all) => {
      accounts = all
      const hadNoAuthor = author.value === ''
      form.hidden = accounts.length === 0
      author.replaceChildren(...accounts.map((account) => new Option(describeAuthor(account), account.id)))
      // Keeps an account that cannot post now as well: the selection must never change by itself.
      const kept = all.find(({ id }) => id === draft.accountId)
      const isFree = draft.accountId === null || field.value.trim() === ''
      const account = kept ?? (isFree ? findDefaultAuthor(all) : undefined)
      if (hadNoAuthor) setText(problems.accountId, null)
      if (account !== undefined) setAuthor(account)
      else if (all.length > 0) clearAuthor()
      show()
    },
  }
}

// The default account: the one that posted last.
function findDefaultAuthor(accounts: readonly Account[]): Account | undefined {
  const able = accounts.filter(canPost)
  const [last] = able.toSorted((a, b) => (b.lastUsedAt ?? '').localeCompare(a.lastUsedAt ?? ''))
  return last ?? accounts[0]
}

function canPost({ status, missingScopes }: Account): boolean {
  return status === 'ACTIVE' || (status === 'LIMITED' && !missingScopes.includes('tweet.write'))
}

function explainInability(account: Account): string {
  const reason = explainAccount(account)
  return `@${account.username} cannot post now.${reason === null ? '' : ` ${reason}`}`
}

function describeAuthor(account: Account): string {
  const name = account.displayName === null ? '' : `${account.displayName} `
  return `${name}@${account.username}${canPost(account) ? '' : ' (cannot post now)'}`
}

function findField({ field }: UserError): 'text' | 'accountId' | 'other' {
  const name = field?.at(-1)
  return name === 'text' || name === 'accountId' ? name : 'other'
}

function describeProblem(text: string, account: Account): string | null {
  const problem = checkTweetText(text, account.maxTweetLength)
  if (problem === null) return null
  if (problem.code === 'EMPTY') return 'Enter a text.'
  if (problem.code === 'INVALID_CHARACTERS') return `X does not accept the invisible character ${problem.character}.`
  const excess = problem.weightedLength - problem.maxWeightedLength
  return `The text is ${excess} ${excess === 1 ? 'character' : 'characters'} too long.`
}
