package agent

import "sync"

// queue lets the reader of the channel go on while events wait: a host that is in the middle of a call when an
// event comes must still get its answer.
type queue struct {
	out  chan Event
	wake chan struct{}
	gone chan struct{} // closed when nobody takes events any more

	mu        sync.Mutex
	items     []Event
	closed    bool
	abandoned bool
}

func newQueue() *queue {
	q := &queue{out: make(chan Event), wake: make(chan struct{}, 1), gone: make(chan struct{})}
	go q.run()
	return q
}

// put says whether there was room.
func (q *queue) put(e Event) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) >= maxEvents {
		return false
	}
	if !q.closed {
		q.items = append(q.items, e)
		q.signal()
	}
	return true
}

// close ends out when what is in the queue has been taken. Nobody has to take it.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// abandon ends out at once. It follows close.
func (q *queue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.abandoned {
		q.abandoned = true
		close(q.gone)
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) run() {
	defer close(q.out)
	for range q.wake { // never closed: close signals, and ends the loop from within
		for {
			q.mu.Lock()
			if len(q.items) == 0 {
				closed := q.closed
				q.mu.Unlock()
				if closed {
					return
				}
				break
			}
			e := q.items[0]
			q.items = q.items[1:]
			q.mu.Unlock()
			select {
			case q.out <- e:
			case <-q.gone:
				return
			}
		}
	}
}
