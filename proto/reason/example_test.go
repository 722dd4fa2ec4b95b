package reason_test

import (
	"fmt"

	"github.com/rkt/rkt/v2/proto/reason"
)

func ExampleTable() {
	for _, row := range reason.Table() {
		if row.Reason == reason.ImageNotFound {
			fmt.Println(row.Sender, row.Code, reason.Code(row.Reason))
		}
	}
	// Output: fetcher 5 5
}
